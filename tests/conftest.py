"""Fixtures for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simmarket import RunningMarket, run_market


@pytest.fixture
def market(tmp_path: Path) -> Iterator[RunningMarket]:
    """A fresh simulated market in its own process, with the default profile, no boot delay and no minimum intervals."""
    with run_market(tmp_path / "sim") as running:
        yield running
