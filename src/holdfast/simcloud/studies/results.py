"""What a study comes to: plain data, as `holdfast simulate --json` prints it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from statistics import fmean

from holdfast.policy.deadline import Plan
from holdfast.policy.percentiles import nearest_rank
from holdfast.simcloud.studies.job import Outcome


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One policy on one set of zones. Figures are means over the jobs unless they say otherwise."""

    zones: str  # the zone, or the folder and how many zones of it
    hours: float  # the length of the traces
    available: float  # share of the ticks at which spot could be had in any of the zones
    policy: str
    jobs: int
    cost: float  # as a share of the work on demand without any changeover
    cost_p90: float  # nine jobs of ten cost no more
    saving: float  # share saved against on demand from start to end
    missed: int  # jobs that did not meet the deadline
    unfinished: int  # of these, jobs that the end of the trace cut off
    moves: float  # machines after the first
    losses: float  # spot machines taken away
    started_over: float  # losses before the first checkpoint, with a cadence
    on_demand: float  # share of the paid time that was on demand
    idle: timedelta  # time without progress: waiting, changing over, saving
    lost_work: timedelta  # done since the last checkpoint at a loss
    finish: timedelta | None  # from start to end, of the jobs that ended


@dataclass(frozen=True, kw_only=True)
class Study:
    """Every policy on every set of zones, and what was asked for."""

    compute: timedelta
    deadline: timedelta
    changeover: timedelta
    price_ratio: float  # spot price as a share of the price on demand
    machines: int  # how many the job needs at once
    choice: str  # how one of several zones is chosen
    cadence: str  # a duration, "young-daly", or "off"
    save_cost: timedelta  # how long one save takes
    every: timedelta | None  # between two starts; null where they were drawn
    seed: int | None  # what drew the starts
    rows: tuple[StudyRow, ...]
    left_out: tuple[str, ...]  # sets that are too short for one such job, and why


def summed_up(
    outcomes: Sequence[Outcome], plan: Plan, *, zones: str, hours: float, available: float, policy: str
) -> StudyRow:
    """The row for the jobs of one policy; there is at least one."""
    work = plan.work.total_seconds()
    on_demand_alone = 1 + plan.changeover / plan.work
    costs = [each.cost / work for each in outcomes]
    ended = [each.finished for each in outcomes if isfinite(each.finished)]
    paid = sum(each.spot + each.on_demand for each in outcomes)
    return StudyRow(
        zones=zones,
        hours=round(hours, 2),
        available=round(available, 4),
        policy=policy,
        jobs=len(outcomes),
        cost=round(fmean(costs), 4),
        cost_p90=round(nearest_rank(costs, 90), 4),
        saving=round(1 - fmean(costs) / on_demand_alone, 4),
        missed=sum(each.finished > plan.deadline.total_seconds() + _ROUNDING for each in outcomes),
        unfinished=len(outcomes) - len(ended),
        moves=round(fmean(max(0, each.launches - 1) for each in outcomes), 3),
        losses=round(fmean(each.losses for each in outcomes), 3),
        started_over=round(fmean(each.started_over for each in outcomes), 3),
        on_demand=round(sum(each.on_demand for each in outcomes) / paid, 4) if paid else 0.0,
        idle=_mean(each.idle for each in outcomes),
        lost_work=_mean(each.lost_work for each in outcomes),
        finish=_mean(ended) if ended else None,
    )


_ROUNDING = 0.001  # seconds; floats that were added up


def _mean(seconds: Iterable[float]) -> timedelta:
    return timedelta(seconds=round(fmean(seconds), 1))
