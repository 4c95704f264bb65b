"""Which examples a step learns from: a matter of the seed and the step's number alone.

The examples are gone through in rounds, each in an order of its own. A step takes the next ones, across the end of a
round too; so none is left out, and no place has to be remembered.
"""

from functools import lru_cache
from math import ceil, cos, pi

import numpy as np

from .order import Parameters


class Rounds:
    """A training divided into steps."""

    def __init__(self, examples: int, parameters: Parameters, processes: int) -> None:
        self._examples, self._seed = examples, parameters.seed
        self._batch, self._accumulate, self._processes = parameters.batch, parameters.accumulate, processes
        self.per_step = parameters.batch * parameters.accumulate * processes
        self.steps = parameters.steps or max(ceil(parameters.epochs * examples / self.per_step), 1)

    def of_step(self, step: int) -> list[int]:
        """All examples of a step (from 0), by their place in the data set."""
        return [self._at(step * self.per_step + each) for each in range(self.per_step)]

    def of_process(self, step: int, rank: int) -> list[list[int]]:
        """Those of one process, batch by batch."""
        chosen = self.of_step(step)
        begins = [(part * self._processes + rank) * self._batch for part in range(self._accumulate)]
        return [chosen[begin : begin + self._batch] for begin in begins]

    def round(self, step: int) -> float:
        """How many rounds are done after so many steps."""
        return step * self.per_step / self._examples

    def _at(self, place: int) -> int:
        return int(_order(self._seed, place // self._examples, self._examples)[place % self._examples])


@lru_cache(maxsize=4)
def _order(seed: int, number: int, examples: int) -> np.ndarray:
    return np.random.default_rng([seed, number]).permutation(examples)


def held_out(examples: int, parameters: Parameters) -> tuple[list[int], list[int]]:
    """Which examples are learned, and which are only asked: chosen by the seed."""
    count = min(ceil(examples * parameters.held_out), examples - 1) if parameters.held_out else 0
    order = np.random.default_rng([parameters.seed, 2**31]).permutation(examples)
    return sorted(int(each) for each in order[count:]), sorted(int(each) for each in order[:count])


def rate(step: int, steps: int, parameters: Parameters) -> float:
    """The learning rate of a step (from 0): rising over the warm-up, then by the schedule."""
    warm = ceil(steps * parameters.warmup)
    if step < warm:
        return parameters.rate * (step + 1) / warm
    passed = (step - warm) / max(steps - warm, 1)
    if parameters.schedule == "cosine":
        return parameters.rate * 0.5 * (1 + cos(pi * passed))
    return parameters.rate * (1 - passed) if parameters.schedule == "linear" else parameters.rate
