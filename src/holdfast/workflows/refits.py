"""Forecast anew what has a newer price than its forecast knows: a few series at a time, on the workers for CPU work.

Nothing of it fails or holds up whoever asks for it: what is not done within the time is told, and due again next time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, TimeoutError, is_cancelled_exception

from holdfast.contracts.forecasts import Fitted, ForecastAnswer, ForecastKey, Refits
from holdfast.workflows import steps
from holdfast.workflows.failures import words_of

AT_ONCE: Final = 16
"""Series in one message: four weeks of one have 8 kB at most."""
LONGEST: Final = timedelta(minutes=10)
SHORTEST: Final = timedelta(seconds=20)
_TOLD: Final = 3
"""Series that are named with their reason; the others are counted."""


async def refit(at: datetime, *, every: timedelta) -> Refits:
    """After the survey of the bucket `at`; it takes no more than a quarter of the time between two of them."""
    until = workflow.now() + max(SHORTEST, min(every / 4, LONGEST))
    due = await steps.plan_refits(at)
    fitted = skilled = 0
    reasons: list[str] = []
    for begin in range(0, len(due), AT_ONCE):
        if (left := until - workflow.now()) <= timedelta():
            reasons.append(f"no time was left for {len(due) - begin} series")
            break
        some = due[begin : begin + AT_ONCE]
        done = await _fit(some, left)
        reasons += done if isinstance(done, list) else [f"{each.key}: {each.reason}" for each in done.troubles]
        if isinstance(done, Fitted) and done.forecasts:
            await steps.record_forecasts(done.forecasts)
            fitted += len(done.forecasts)
            skilled += sum(each.answer is ForecastAnswer.SKILL for each in done.forecasts)
    return Refits(due=len(due), fitted=fitted, skilled=skilled, detail=_detail(reasons))


async def _fit(some: Sequence[ForecastKey], left: timedelta) -> Fitted | list[str]:
    """What became of them, or why nothing did."""
    histories = await steps.read_hourly(some)
    try:
        return await steps.fit_forecasts(histories, within=left)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        late = isinstance(err.cause, TimeoutError)
        why = "no analysis worker did it in time" if late else words_of(err)
        return [f"{some[0]} and {len(some) - 1} others: {why}" if len(some) > 1 else f"{some[0]}: {why}"]


def _detail(reasons: Sequence[str]) -> str:
    told = "; ".join(reasons[:_TOLD])
    return told if len(reasons) <= _TOLD else f"{told}; and {len(reasons) - _TOLD} more"


def words(done: Refits) -> str:
    """For the page of the workflow."""
    told = f"- forecasts: {done.fitted} of {done.due} made anew, {done.skilled} with skill"
    return f"{told}; {done.detail}" if done.detail else told
