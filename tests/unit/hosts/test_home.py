"""The agent's folder keeps whole files, whoever writes them at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from holdfast.hosts.agent.home import Home


def test_two_threads_may_keep_the_same_file_at_once(tmp_path: Path) -> None:
    home = Home(str(tmp_path))

    def keep(who: int) -> None:
        for turn in range(100):
            home.write("lease.json", {"who": who, "turn": turn})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(keep, range(4)))
    kept = home.read("lease.json")
    assert kept is not None and kept["turn"] == 99
    assert {each.name for each in tmp_path.iterdir()} == {"lease.json", "reserve"}
