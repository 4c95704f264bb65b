"""Numbers that the work writes of itself, as the agent reads them."""

from pathlib import Path

from holdfast.hosts.agent import series
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.heartbeat import WorkState
from tests.unit.hosts.orders import beat_when, order


def test_only_whole_lines_are_read(tmp_path: Path):
    path = tmp_path / "series"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    data, size = series.read(str(path), 0, 1000)
    assert (data, size) == (b'{"step": 1}\n{"step": 2}\n', 28)
    assert series.read(str(path), 24, 1000) == (b"", 28)
    with path.open("a") as file:
        file.write('ep": 3}\n')
    assert series.read(str(path), 24, 1000)[0] == b'{"step": 3}\n'


def test_a_line_that_is_too_long_holds_up_nothing(tmp_path: Path):
    path = tmp_path / "series"
    path.write_text("x" * 30 + '\n{"step": 1}\n')
    found, offset = b"", 0
    while data := series.read(str(path), offset, 10)[0]:
        found += data
        offset += len(data)
    assert found == path.read_bytes()


def test_what_is_no_file_says_nothing(tmp_path: Path):
    assert series.read(str(tmp_path / "none"), 0, 10) == (b"", 0)
    assert series.read(str(tmp_path), 0, 10) == (b"", 0)


async def test_the_work_knows_where_and_the_agent_reads_it(channel: AgentChannel) -> None:
    line = '{"step": 1, "loss": 0.5}'
    await channel.call("start", order(f"echo '{line}' >> \"$HOLDFAST_METRICS_FILE\""))
    await beat_when(channel, WorkState.EXITED)
    answer = await channel.call("read_series", {"offset": 0})
    assert answer == {"offset": 0, "data": line + "\n", "size": len(line) + 1}
