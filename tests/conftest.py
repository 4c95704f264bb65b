"""Fixtures for every test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simmarket import RunningMarket, run_market

# The server programs are static Go: without these they do not start for a uid that has no name, as containers like it.
os.environ["USER"] = os.environ.get("USER") or "holdfast"
os.environ["HOME"] = os.environ.get("HOME") or "/"


@pytest.fixture
def market(tmp_path: Path) -> Iterator[RunningMarket]:
    """A fresh simulated market in its own process, with the default profile, no boot delay and no minimum intervals."""
    with run_market(tmp_path / "sim") as running:
        yield running


_STORIES = ("scenarios", "cli", "workflows")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long stories first: the many short tests then fill what time the workers have left."""
    here = Path(__file__).parent

    def turn(item: pytest.Item) -> int:
        room = item.path.relative_to(here).parts[0]
        return _STORIES.index(room) if room in _STORIES else len(_STORIES)

    items.sort(key=turn)
