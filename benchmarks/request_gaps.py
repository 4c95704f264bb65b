"""Streams of gaps between busy times, in seconds, for `idle_time.py`: steady ones, and such as change."""

import math
from collections.abc import Callable, Iterator
from itertools import count, islice
from random import Random

Stream = Callable[[Random], Iterator[float]]
DAY = 86_400


def _each(draw: Callable[[Random], float]) -> Stream:
    """Gaps that have nothing to do with each other."""
    return lambda dice: (draw(dice) for _ in count())


def _lognormal(median: float, sigma: float) -> Stream:
    return _each(lambda dice: dice.lognormvariate(math.log(median), sigma))


def _two(dice: Random) -> float:
    """Seven in ten about half a minute, the others about twenty minutes."""
    return abs(dice.gauss(30, 5)) if dice.random() < 0.7 else abs(dice.gauss(1200, 200))


def _close(dice: Random) -> float:
    """Two kinds of gaps of which one is just worth waiting for, at the middle cost of a pause."""
    return abs(dice.gauss(75, 10)) if dice.random() < 0.5 else abs(dice.gauss(250, 30))


def _hyperexponential(dice: Random) -> float:
    return dice.expovariate(1 / 10) if dice.random() < 0.8 else dice.expovariate(1 / 1000)


def _sessions(dice: Random) -> Iterator[float]:
    """People who ask some dozen things, think 15 s between them, and come back after half an hour or so."""
    while True:
        for _ in range(1 + int(dice.expovariate(1 / 12))):
            yield dice.expovariate(1 / 15)
        yield dice.lognormvariate(math.log(1800), 1)


def _day_and_night(dice: Random) -> Iterator[float]:
    """A request a minute from eight to eight, one in 25 minutes at night."""
    now = 0.0
    while True:
        gap = dice.expovariate(1 / (60 if 8 <= now % DAY / 3600 < 20 else 1500))
        now += gap
        yield gap


def _tides(dice: Random) -> Iterator[float]:
    """The mean gap goes up and down between 40 s and 17 min, once a day."""
    now = 0.0
    while True:
        gap = dice.expovariate(1 / (200 * math.exp(1.6 * math.cos(2 * math.pi * now / DAY))))
        now += gap
        yield gap


def _drift(first: float, then: float, after: int) -> Stream:
    return lambda dice: (dice.expovariate(1 / (first if number < after else then)) for number in count())


def _ramp(dice: Random) -> Iterator[float]:
    """Fewer and fewer requests: the mean gap grows from 20 s, by a half every 200 gaps."""
    return (dice.expovariate(1 / (20 * 1.5 ** (number / 200))) for number in count())


def _turns(length: int) -> Stream:
    """Busy and quiet by turns, so many gaps each: by the time that one is learned it is over."""
    return lambda dice: (dice.expovariate(1 / (900 if number // length % 2 else 30)) for number in count())


def _flips(length: int) -> Stream:
    """As `_turns`, without any chance: the worst for whoever learns from the past."""
    return lambda dice: (5000.0 if number // length % 2 else 50.0 for number in count())


def _moods(dice: Random) -> Iterator[float]:
    """Two moods of the callers, which last about a hundred gaps, and nobody knows how long."""
    quiet = False
    while True:
        quiet ^= dice.random() < 0.01
        yield dice.lognormvariate(math.log(1500 if quiet else 40), 0.6)


STREAMS: dict[str, Stream] = {
    "exponential, mean 20 s": _each(lambda dice: dice.expovariate(1 / 20)),
    "exponential, mean 80 s": _each(lambda dice: dice.expovariate(1 / 80)),
    "exponential, mean 150 s": _each(lambda dice: dice.expovariate(1 / 150)),
    "lognormal, sigma 1": _lognormal(60, 1),
    "lognormal, sigma 2": _lognormal(60, 2),
    "Pareto, alpha 1.05": _each(lambda dice: 20 * dice.paretovariate(1.05)),
    "Pareto, alpha 2.5": _each(lambda dice: 20 * dice.paretovariate(2.5)),
    "Weibull, shape 0.5": _each(lambda dice: dice.weibullvariate(100, 0.5)),
    "uniform, to 400 s": _each(lambda dice: dice.uniform(0, 400)),
    "every 60 s": _each(lambda dice: 60.0),
    "every 100 s, about": _each(lambda dice: abs(dice.gauss(100, 15))),
    "bimodal, far apart": _each(_two),
    "bimodal, close": _each(_close),
    "hyperexponential": _each(_hyperexponential),
    "sessions": _sessions,
    "day and night": _day_and_night,
    "tides": _tides,
    "drift, busy to quiet": _drift(30, 900, 1000),
    "drift, quiet to busy": _drift(900, 30, 1000),
    "slow ramp": _ramp,
    "turns of 50": _turns(50),
    "turns of 250": _turns(250),
    "flips of 20": _flips(20),
    "flips of 150": _flips(150),
    "moods": _moods,
}


def gaps(name: str, *, many: int, seed: int) -> list[float]:
    """The first so many of a stream. Equal seeds give equal gaps."""
    return list(islice(STREAMS[name](Random(f"{name}/{seed}")), many))
