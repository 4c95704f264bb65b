"""How an endpoint shows itself: phase, search attributes and the page in the Web UI."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.endpoints import EndpointPhase, EndpointState, Replica

_LINES_KEPT = 12


class EndpointFace:
    """What others see. It decides nothing."""

    def __init__(self, endpoint: str, past: EndpointState | None) -> None:
        self._endpoint = endpoint
        self.phase = past.phase if past else EndpointPhase.COLD
        self.since: datetime = past.since if past else workflow.now()
        self.reason = ""
        self._shown: tuple[EndpointPhase, Decimal] | None = None
        self._replicas: Sequence[Replica] = ()
        self._in_flight = 0
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    @staticmethod
    def hourly_of(replicas: Sequence[Replica]) -> Decimal:
        """USD per hour of all machines; of one that is stopped its disk, where its provider says what that costs."""
        return sum((each.hourly() for each in replicas), start=Decimal(0))

    def show(self, phase: EndpointPhase, reason: str, replicas: Sequence[Replica], in_flight: int) -> None:
        """The attributes are written only when they change: each time is an event."""
        hourly = self.hourly_of(replicas)
        if phase is not self.phase:
            self.phase, self.since = phase, workflow.now()
            self._lines.append(f"- {workflow.now():%H:%M:%S} **{phase}**: {reason}")
        self.reason, self._replicas, self._in_flight = reason, tuple(replicas), in_flight
        if self._shown != (phase, hourly):
            self._shown = (phase, hourly)
            workflow.upsert_search_attributes(
                [names.SA_STATE.value_set(str(phase)), names.SA_HOURLY_USD.value_set(float(hourly))]
            )
        self._paint()

    def note(self, what: str) -> None:
        """A line of what is going on."""
        self._lines.append(f"- {workflow.now():%H:%M:%S} {what}")
        self._paint()

    def _paint(self) -> None:
        head = [
            f"## endpoint {self._endpoint}: {self.phase}, {self.reason}",
            f"{self._in_flight} requests in flight.",
            "",
        ]
        rows = ["| replica | is | where | $/h | serves since |", "|---|---|---|---|---|"]
        rows += [_row(each) for each in self._replicas]
        workflow.set_current_details("\n".join([*head, *rows, "", *reversed(self._lines)]))


def _row(replica: Replica) -> str:
    lease = replica.lease
    where = f"{lease.provider} {lease.region}, `{lease.label}`" if lease else "no machine"
    since = f"{replica.ready_at:%H:%M:%S}" if replica.ready_at else ""
    return f"| {replica.name} | {replica.phase or 'not there'} | {where} | {replica.hourly():.3f} | {since} |"
