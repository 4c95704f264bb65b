"""Work that is meant to run for ever, for whoever owns it: its end is a fault, and it is started again."""

from datetime import timedelta

from temporalio import workflow

from holdfast.contracts.activities import MachineReport
from holdfast.contracts.incidents import Cause
from holdfast.workflows.life import Life
from holdfast.workflows.wishes import Loss

LONG_ENOUGH = timedelta(minutes=1)
"""What ran so long had started well; what ends sooner may do so for ever, and is for its owner to think about."""


def starts_again(life: Life, report: MachineReport) -> bool:
    """Whether its process is started again where it is."""
    if life.started_at is None or report.last_sign - life.started_at < LONG_ENOUGH:
        return False
    reason = f"its server ended with code {report.exit_code}"
    life.lose(Loss(Cause.STALLED, reason, silent_since=report.last_sign, decided_at=workflow.now()))
    return True
