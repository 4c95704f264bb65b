"""From memory to the disk."""

import os
from pathlib import Path

from holdfast.hosts.agent import durable


def test_what_is_large_is_begun_and_what_is_small_or_gone_is_left_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    with path.open("wb") as file:
        file.write(os.urandom(4 * durable.WORTH_A_CALL))
        file.flush()
        assert durable.begin(file.fileno(), 0, 4 * durable.WORTH_A_CALL)
        assert not durable.begin(file.fileno(), 0, durable.WORTH_A_CALL - 1)
        closed = os.dup(file.fileno())
    os.close(closed)
    assert not durable.begin(closed, 0, durable.WORTH_A_CALL)
    durable.finish(str(path))
