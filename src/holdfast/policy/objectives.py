"""A workload's record against its objectives: how its recoveries are spread, at all and by each strategy."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from holdfast.contracts.incidents import Incident
from holdfast.contracts.reports import Spread, StrategyLine
from holdfast.contracts.spec import Strategy
from holdfast.policy.percentiles import nearest_rank

_ORDER = {strategy.value: place for place, strategy in enumerate(Strategy)}


def spread(measured: Sequence[timedelta], objective: timedelta | None) -> Spread:
    """How the measures of one kind are spread, and how many kept the objective, if there is one."""
    return Spread(
        measured=len(measured),
        p50=nearest_rank(measured, 50) if measured else None,
        p95=nearest_rank(measured, 95) if measured else None,
        max=max(measured, default=None),
        met=None if objective is None else sum(1 for each in measured if each <= objective),
    )


def by_strategy(incidents: Iterable[Incident]) -> tuple[StrategyLine, ...]:
    """What each strategy came to, those that were never tried left out.

    A recovery counts for the strategy that brought it, once its first progress was seen.
    """
    tries: Counter[str] = Counter()
    recoveries: dict[str, list[timedelta]] = defaultdict(list)
    for incident in incidents:
        tries.update(attempt.strategy for attempt in incident.attempts)
        if incident.recovery_time is not None:
            recoveries[incident.strategy].append(incident.recovery_time)
    known = sorted({*tries, *recoveries}, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))
    return tuple(_line(strategy, tries[strategy], recoveries[strategy]) for strategy in known)


def _line(strategy: str, tries: int, recoveries: Sequence[timedelta]) -> StrategyLine:
    found = spread(recoveries, None)
    return StrategyLine(strategy=strategy, tries=tries, successes=found.measured, p50=found.p50, p95=found.p95)
