"""What the supervisor tells its watchers."""

import os

import pytest

from holdfast.workers.stack.reports import Kind, Report, Reporter


@pytest.fixture
def reporter() -> Reporter:
    return Reporter()


def listen(reporter: Reporter) -> int:
    read_end, write_end = os.pipe()
    reporter.add(write_end)
    return read_end


def test_every_listener_hears_every_report(reporter: Reporter) -> None:
    ears = [listen(reporter), listen(reporter)]
    reporter.send(Kind.NOTE, "two\nlines")
    for ear in ears:
        assert Report.from_line(os.read(ear, 1000)) == Report(Kind.NOTE, "two\nlines")
        os.close(ear)


def test_a_listener_that_went_away_is_forgotten(reporter: Reporter) -> None:
    gone, staying = listen(reporter), listen(reporter)
    os.close(gone)
    reporter.send(Kind.NOTE, "one")
    reporter.send(Kind.NOTE, "two")
    assert os.read(staying, 1000).count(b"\n") == 2
    os.close(staying)


def test_a_listener_that_does_not_read_holds_nobody_up(reporter: Reporter) -> None:
    deaf = listen(reporter)
    for _ in range(3):
        reporter.send(Kind.NOTE, "x" * 60_000)
    os.close(deaf)
