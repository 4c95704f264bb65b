"""How a warm pool shows itself: phase, search attributes and the page in the Web UI."""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.pools import PoolPhase, Standby

_LINES_KEPT = 12


def hourly_of(standbys: Sequence[Standby]) -> Decimal:
    """USD per hour of all together; of one that is stopped its disk, where its provider says what that costs."""
    return sum((each.hourly for each in standbys), start=Decimal(0))


class PoolFace:
    """What others see. It decides nothing."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self.phase = PoolPhase.FILLING
        self.detail = ""
        self._shown: tuple[PoolPhase, Decimal] | None = None
        self._standbys: Sequence[Standby] = ()
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    def show(self, phase: PoolPhase, detail: str, standbys: Sequence[Standby]) -> None:
        """The attributes are written only when they change: each time is an event."""
        hourly = hourly_of(standbys)
        self.phase, self.detail, self._standbys = phase, detail, tuple(standbys)
        if self._shown != (phase, hourly):
            self._shown = (phase, hourly)
            workflow.upsert_search_attributes(
                [
                    names.SA_WORKLOAD.value_set(names.pool_record(self._pool)),
                    names.SA_STATE.value_set(str(phase)),
                    names.SA_HOURLY_USD.value_set(float(hourly)),
                ]
            )
        self._paint()

    def say(self, what: str) -> None:
        """A line of what is going on."""
        self._lines.append(f"- {workflow.now():%H:%M:%S} {what}")
        self._paint()

    def _paint(self) -> None:
        head = [f"## pool {self._pool}: {self.phase}, {self.detail}", ""]
        rows = ["| machine | where | $/h | keeps | seen |", "|---|---|---|---|---|"]
        rows += [_row(each) for each in self._standbys]
        workflow.set_current_details("\n".join([*head, *rows, "", *reversed(self._lines)]))


def _row(standby: Standby) -> str:
    lease, synced = standby.lease, standby.synced
    keeps = f"{synced.workload} {synced.sequence}" if synced else "nothing yet"
    keeps += ", stopped" if standby.stopped else ""
    where = f"{lease.provider} {lease.region}"
    return f"| {lease.label} | {where} | {standby.hourly} | {keeps} | {standby.seen_at:%H:%M:%S} |"
