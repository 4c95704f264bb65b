"""Numbers by step, over machines and attempts that did some steps twice."""

from datetime import UTC, datetime

from holdfast.policy.series import MOST_SERIES, Piece, Steps, collect, steps_in


def test_the_step_is_read_from_the_progress():
    assert steps_in("step 12/100 · loss 0.31") == Steps(done=12, total=100)
    assert steps_in("step 7") == Steps(done=7)
    assert steps_in("epoch 3, step 7") is None
    assert Steps(done=12, total=100).share == 0.12
    assert Steps(done=120, total=100).share == 1
    assert Steps(done=7).share is None and Steps(done=0, total=0).share is None


def test_a_step_that_was_done_again_has_its_newest_value():
    first = Piece(attempt=1, epoch=1, text='{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n{"step": 3, "loss": 9}\n')
    second = Piece(attempt=1, epoch=2, text='{"step": 3, "loss": 1.5, "time": 1795867200}\n{"step": 4, "loss": 1}\n')
    (loss,) = collect([second, first])
    assert [(each.step, each.value, each.epoch) for each in loss.points] == [
        (1, 3, 1),
        (2, 2, 1),
        (3, 1.5, 2),
        (4, 1, 2),
    ]
    assert loss.points[2].at == datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_what_is_told_again_fills_gaps_and_replaces_nothing():
    first = Piece(attempt=1, epoch=1, text='{"step": 1, "loss": 3}\n')
    again = '{"step": 1, "loss": 4, "again": true}\n{"step": 2, "loss": 2, "again": true}\n'
    (loss,) = collect([first, Piece(attempt=1, epoch=2, text=again + '{"step": 3, "loss": 1, "again": false}\n')])
    assert [(each.step, each.value, each.epoch) for each in loss.points] == [(1, 3, 1), (2, 2, 2), (3, 1, 2)]


def test_a_later_attempt_counts_before_an_earlier_one():
    (loss,) = collect(
        [
            Piece(attempt=2, epoch=1, text='{"step": 1, "loss": 1}\n'),
            Piece(attempt=1, epoch=7, text='{"step": 1, "loss": 5}\n{"step": 2, "loss": 5}\n'),
        ]
    )
    assert [(each.step, each.value, each.attempt) for each in loss.points] == [(1, 1, 2), (2, 5, 1)]


def test_what_means_nothing_is_passed_over():
    text = "\n".join(
        (
            "no json",
            "[1, 2]",
            '{"loss": 1}',
            '{"step": true, "loss": 1}',
            '{"step": -1, "loss": 1}',
            '{"step": 1.5, "loss": 1}',
            '{"step": 1, "loss": "low", "ok": true, "nan": NaN, "big": Infinity, "lr": 0.1}',
            '{"step": 2, "lr": 0.2, "time": "now"}',
            '{"step": 3, "lr"',
        )
    )
    (rate,) = collect([Piece(attempt=1, epoch=1, text=text)])
    assert (rate.name, [(each.step, each.value) for each in rate.points]) == ("lr", [(1, 0.1), (2, 0.2)])


def test_no_more_names_than_mean_something():
    text = "\n".join(f'{{"step": 1, "n{number}": 1}}' for number in range(MOST_SERIES + 10))
    assert len(collect([Piece(attempt=1, epoch=1, text=text)])) == MOST_SERIES
