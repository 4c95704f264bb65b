"""The lane's models, each made once, and its figures at the end."""

from pathlib import Path

import pytest

from tests.gpu import lane


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lane.any_figures():
        terminalreporter.section("figures of the GPU lane")
        terminalreporter.write_line(lane.figures_page())


@pytest.fixture(scope="session")
def real_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of real size."""
    return lane.make_base(tmp_path_factory.mktemp("real"), lane.LANE.real)


@pytest.fixture(scope="session")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lane.make_base(tmp_path_factory.mktemp("small"), lane.LANE.small)
