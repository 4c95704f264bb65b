"""Work that sleeps outside of its hours: put to sleep when they end, woken when they begin.

Only these moments count: whoever wakes it in between has it awake until the next of them, or until it is not used.
"""

from datetime import timedelta

from temporalio import workflow

from holdfast.contracts.spec import HibernateSpec
from holdfast.contracts.workload import Want
from holdfast.policy.hours import hours_at
from holdfast.workflows.life import Life

_LOOK_AGAIN = timedelta(days=7)
"""Where nothing changes for weeks; the rules of a zone may, meanwhile."""
_SOON = timedelta(seconds=1)


async def keep_hours(life: Life, spec: HibernateSpec) -> None:
    """For ever; to be cancelled with the workload's end."""
    within = hours_at(workflow.now(), spec.awake).within
    while True:
        now = workflow.now()
        until = hours_at(now, spec.awake).until
        wait = _LOOK_AGAIN if until is None else max(until - now, _SOON)
        await workflow.sleep(wait, summary="until its hours end" if within else "until its hours begin")
        was, within = within, hours_at(workflow.now(), spec.awake).within
        if within and not was:
            life.take_want(Want(awake=True, reason="its hours begin"))
        elif was and not within:
            life.take_want(Want(awake=False, mode=spec.mode, reason="its hours are over"))
