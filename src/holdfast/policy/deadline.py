"""Which kind of machine brings work to its deadline for the least money: spot, on demand, or none for the moment.

Every rule but `SPOT_ONLY` stands on the same safety net: off spot, with less slack than two changeovers, one cadence
and one review, the work goes on demand and stays there. Two changeovers, because a spot machine that is tried and lost
at once costs one, and the machine on demand that follows another. On demand is taken to be there whenever it is wanted.

Sources: `UNIFORM` is the uniform-progress rule of "Can't Be Late" (Wu et al., NSDI 2024); `EAGER` leaves a machine on
demand as soon as there is spot; `FORECAST` pays for on demand only when the recent past says that spot will not do.
`THRIFTY` is ours: nothing is paid for on demand while the slack left would pay for every move that the recent past lets
one expect until the deadline; from then on the work runs through, on demand where there is no spot, and so the spot of
the last hours is used as well as that of the first. On demand is left only for spot that may be expected to live long
enough to pay for the move there and back.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from holdfast.policy.outlook import NOTHING_SEEN, Outlook

_FORECAST_SHARE: Final = 0.9  # of the expected availability that is counted on
# What one drop of spot is taken to cost in slack: a move on demand and one back to spot, and each of them failed once.
_MOVES_PER_DROP: Final = 4
_HOUR: Final = timedelta(hours=1)


class Use(StrEnum):
    """What the work runs on."""

    SPOT = "spot"
    ON_DEMAND = "on_demand"
    WAIT = "wait"  # nothing is rented


class Rule(StrEnum):
    """How spot and on demand are weighed against each other."""

    ON_DEMAND = "on_demand"
    SPOT_ONLY = "spot_only"  # the only one that may miss a deadline
    GREEDY = "greedy"
    UNIFORM = "uniform_progress"
    EAGER = "uniform_progress_eager"
    FORECAST = "forecast_progress"
    THRIFTY = "thrifty"


class Holds(StrEnum):
    """How long an answer stands if nobody asks again."""

    REVIEW = "review"  # ask again after `Plan.review`, or when spot comes or goes
    UNTIL_LOST = "until_lost"  # ask again when the machine is lost
    UNTIL_DONE = "until_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done by when."""

    work: timedelta  # on a machine that runs without a break
    deadline: timedelta  # from the start of the job
    changeover: timedelta  # from renting a machine to progress on it: paid for, without progress
    review: timedelta  # how often the question is asked while nothing happens
    spot_share: float = 0.3  # the spot price as a share of the price on demand
    cadence: timedelta = timedelta()  # the most work that a loss takes away, with the time of one save; zero: none


class Moment(NamedTuple):
    """How the job stands when the question is asked. A tuple, because a study asks it many millions of times."""

    elapsed: timedelta  # since the start of the job
    done: timedelta  # of the work, and saved: what a loss would take away is not done
    using: Use  # after a loss that is WAIT
    spot_up: bool  # spot can be had now, or the spot machine in use still runs
    outlook: Outlook = NOTHING_SEEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to use now, and why."""

    use: Use
    holds: Holds
    because: str  # the reason, with places for the figures below
    slack: timedelta  # time left less work left; it may be negative
    behind: timedelta  # behind even progress; negative when ahead

    @property
    def reason(self) -> str:
        """The reason in words, with its figures."""
        return self.because.format(
            slack=_in_words(self.slack), behind=_in_words(self.behind), ahead=_in_words(-self.behind)
        )


def decide(rule: Rule, plan: Plan, moment: Moment) -> Answer:
    """What the job should use now. Never raises; equal input gives an equal answer.

    Every rule but `SPOT_ONLY` meets the deadline if `work + changeover <= deadline`, the question is asked at the
    start, on every loss and, while an answer holds for `REVIEW`, every `plan.review`, and a machine on demand makes
    progress within `plan.changeover`. The time until a loss is noticed belongs in `plan.review`.
    """
    slack = plan.deadline - moment.elapsed - (plan.work - moment.done)
    behind = moment.elapsed * (plan.work / plan.deadline) - moment.done
    use, because, holds = _weigh(rule, plan, moment, slack, behind)
    if holds is Holds.UNTIL_LOST and plan.cadence and rule is not Rule.SPOT_ONLY:
        holds = Holds.REVIEW  # saves eat slack on a machine that runs, too: see `_stay`
    return Answer(use=use, because=because, holds=holds, slack=slack, behind=behind)


_Weighed = tuple[Use, str, Holds]
_STAY: Final = (
    Use.SPOT,
    "the spot machine runs, with {slack} of slack should it be lost: it is kept",
    Holds.UNTIL_LOST,
)
_TAKE: Final = (Use.SPOT, "spot can be had, with {slack} of slack should it be lost: it is used", Holds.UNTIL_LOST)
_NET: Final = (
    Use.ON_DEMAND,
    "only {slack} of slack is left, less than a failed try on spot would cost: on demand until the end",
    Holds.UNTIL_DONE,
)
_ALWAYS: Final = (Use.ON_DEMAND, "the rule is to use machines on demand only", Holds.UNTIL_DONE)
_NO_SPOT: Final = (Use.WAIT, "there is no spot, and {slack} of slack to wait in", Holds.REVIEW)
_NEVER_ELSE: Final = (Use.WAIT, "there is no spot, and the rule is to use nothing else", Holds.REVIEW)
_BEHIND: Final = (Use.ON_DEMAND, "there is no spot, and the work is {behind} behind even progress", Holds.REVIEW)
_AHEAD: Final = (Use.WAIT, "there is no spot, and the work is {ahead} ahead of even progress", Holds.REVIEW)
_CATCHING_UP: Final = (
    Use.ON_DEMAND,
    "on demand until the work is two changeovers ahead of even progress",
    Holds.REVIEW,
)
_UNTIL_SPOT: Final = (Use.ON_DEMAND, "on demand until there is spot", Holds.REVIEW)
_NOT_WORTH: Final = (
    Use.ON_DEMAND,
    "spot does not live long enough here to pay for the move there and back",
    Holds.REVIEW,
)
_RUN_THROUGH: Final = (
    Use.ON_DEMAND,
    "there is no spot, and the slack of {slack} is needed for the moves to be expected until the deadline",
    Holds.REVIEW,
)
_TOO_LITTLE: Final = (
    Use.ON_DEMAND,
    "there is no spot, and going by the last days too little of it will come in the time left",
    Holds.REVIEW,
)
_ENOUGH: Final = (Use.WAIT, "there is no spot, and going by the last days enough of it will come in time", Holds.REVIEW)


def _weigh(rule: Rule, plan: Plan, moment: Moment, slack: timedelta, behind: timedelta) -> _Weighed:
    on_spot = moment.using is Use.SPOT and moment.spot_up
    if rule is Rule.ON_DEMAND:
        return _ALWAYS
    if rule is Rule.SPOT_ONLY:
        return _STAY if on_spot else _TAKE if moment.spot_up else _NEVER_ELSE
    if on_spot:
        return _stay(plan, slack)
    if slack < _try_on_spot(plan):
        return _NET
    return _by_rule(rule, plan, moment, slack, behind)


def _by_rule(rule: Rule, plan: Plan, moment: Moment, slack: timedelta, behind: timedelta) -> _Weighed:
    """Off spot, with slack for a try."""
    if rule is Rule.UNIFORM:
        return _uniform(plan, moment, behind)
    if rule is Rule.THRIFTY:
        return _thrifty(plan, moment, slack)
    if moment.spot_up:
        return _TAKE
    if rule is Rule.EAGER:
        return _uniform(plan, moment, behind)
    return _forecast(plan, moment) if rule is Rule.FORECAST else _NO_SPOT


def _try_on_spot(plan: Plan) -> timedelta:
    """The slack that a try on spot may cost before the work goes on, on demand."""
    return 2 * plan.changeover + plan.cadence + plan.review


def _stay(plan: Plan, slack: timedelta) -> _Weighed:
    """Saves take time, so slack may run out on a machine that is never lost. When it is gone, spot is all there is."""
    if plan.changeover <= slack < plan.changeover + plan.review:
        return _NET
    return _STAY


def _uniform(plan: Plan, moment: Moment, behind: timedelta) -> _Weighed:
    if moment.using is Use.ON_DEMAND and behind > -2 * plan.changeover * (plan.work / plan.deadline):
        return _CATCHING_UP
    if moment.spot_up:
        return _TAKE
    return _BEHIND if behind > timedelta() else _AHEAD


def _forecast(plan: Plan, moment: Moment) -> _Weighed:
    counted_on = _FORECAST_SHARE * moment.outlook.available * (plan.deadline - moment.elapsed)
    if moment.using is Use.ON_DEMAND:  # let go only with two changeovers to spare, as the uniform rules do
        counted_on -= 2 * plan.changeover
    return _TOO_LITTLE if plan.work - moment.done > counted_on else _ENOUGH


def _thrifty(plan: Plan, moment: Moment, slack: timedelta) -> _Weighed:
    worth_a_move = (1 - plan.spot_share) * moment.outlook.life > 2 * plan.changeover
    if moment.using is Use.ON_DEMAND:
        if not moment.spot_up:
            return _UNTIL_SPOT
        return _TAKE if worth_a_move else _NOT_WORTH
    if moment.spot_up:
        return _TAKE
    drops = moment.outlook.drops_per_hour * ((plan.deadline - moment.elapsed) / _HOUR)
    needed = _try_on_spot(plan) + drops * _MOVES_PER_DROP * plan.changeover
    # Where spot is not worth a move, running through buys nothing: the slack is waited away, and the net does the rest.
    return _RUN_THROUGH if worth_a_move and slack <= needed else _NO_SPOT


def _in_words(span: timedelta) -> str:
    """As long as it takes to say how it stands: hours of a long deadline, seconds of a short one."""
    seconds = span.total_seconds()
    if abs(seconds) >= 36_000:
        return f"{seconds / 3600:.0f} h"
    if abs(seconds) >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if abs(seconds) >= 600 else f"{seconds:.0f} s"
