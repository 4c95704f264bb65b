"""How a job shows itself: search attributes and the page in the Web UI."""

from collections import deque
from decimal import Decimal

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.jobs import JobAttempt, JobPhase, JobState

LINES_KEPT = 12


class JobFace:
    """What others see. It decides nothing."""

    def __init__(self, job: str, past: JobState | None) -> None:
        self._job = job
        self._lines: deque[str] = deque(past.lines if past else (), maxlen=LINES_KEPT)
        self._shown: tuple[JobPhase, Decimal | None] | None = None
        self._said = ""

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)

    def show(self, state: JobState) -> None:
        """The attributes are written only when they change: each time is an event."""
        hourly = state.lease.hourly if state.lease and not state.phase.is_final else None
        if self._shown != (state.phase, hourly):
            self._shown = (state.phase, hourly)
            cost = names.SA_HOURLY_USD
            workflow.upsert_search_attributes(
                [
                    names.SA_STATE.value_set(str(state.phase)),
                    cost.value_unset() if hourly is None else cost.value_set(float(hourly)),
                ]
            )
        said = f"**{state.phase}**: {state.reason}"
        if said != self._said:
            self._said = said
            self._lines.append(f"- {workflow.now():%H:%M:%S} {said}")
        self._paint(state)

    def _paint(self, state: JobState) -> None:
        rows = ["| attempt | ended | machines lost | cost | reason |", "|---|---|---|---|---|"]
        rows += [_row(each) for each in state.attempts]
        head = [f"## job {self._job}: {state.phase}", state.reason, ""]
        workflow.set_current_details("\n".join([*head, *(rows if state.attempts else ()), "", *reversed(self._lines)]))


def _row(attempt: JobAttempt) -> str:
    ended = attempt.upshot or "goes on"
    reason = attempt.reason.replace("|", "/")
    return f"| {attempt.workload} | {ended} | {attempt.losses} | ${attempt.cost:.4f} | {reason} |"
