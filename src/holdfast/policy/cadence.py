"""How often to save: too seldom loses work at a loss, too often spends the machine on saving."""

import math
from datetime import timedelta

SHORTEST = timedelta(seconds=30)
LONGEST = timedelta(hours=2)


def optimal_interval(
    save_cost: timedelta,
    mean_time_between_losses: timedelta,
    *,
    shortest: timedelta = SHORTEST,
    longest: timedelta = LONGEST,
) -> timedelta:
    """The working time between two saves that wastes least, within [`shortest`, `longest`].

    Young's first-order optimum, sqrt(2 x cost x time between failures), with Daly's higher-order correction while the
    cost is below twice the time between failures; beyond that Daly's answer is the time between failures itself.

    Sources: J. W. Young, "A first order approximation to the optimum checkpoint interval", Communications of the ACM
    17(9), 1974. J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future
    Generation Computer Systems 22(3), 2006, equation 37.

    `save_cost` is the time that the work loses to one save. A cost or a time that is not positive is no measurement:
    then the bounds decide, `shortest` for a free save and `longest` for a machine that is never lost.
    """
    cost, between = save_cost.total_seconds(), mean_time_between_losses.total_seconds()
    if cost <= 0:
        return shortest
    if between <= 0:
        return longest
    return min(max(timedelta(seconds=_daly(cost, between)), shortest), longest)


def _daly(cost: float, between: float) -> float:
    ratio = cost / (2 * between)
    if ratio >= 1:
        return between
    return math.sqrt(2 * cost * between) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - cost
