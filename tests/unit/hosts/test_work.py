"""Work under an agent's supervision, from start to exit code."""

from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.heartbeat import WorkState
from tests.unit.hosts.orders import beat_when, order


async def test_work_runs_and_its_exit_code_arrives_with_a_heartbeat(channel: AgentChannel) -> None:
    await channel.call("start", order("exit 7"))
    beat = await beat_when(channel, WorkState.EXITED)
    assert beat.exit_code == 7
