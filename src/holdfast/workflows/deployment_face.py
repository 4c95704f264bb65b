"""How a deployment shows itself: phase, search attribute and the page in the Web UI."""

from collections import deque
from datetime import datetime

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.deployments import DeploymentPhase, DeploymentState

_LINES_KEPT = 20


class DeploymentFace:
    """What others see. It decides nothing."""

    def __init__(self, deployment: str, past: DeploymentState | None) -> None:
        self._deployment = deployment
        self.phase = past.phase if past else DeploymentPhase.STARTING
        self.since: datetime = past.since if past else workflow.now()
        self.reason = past.reason if past else "ordered"
        self._shown: DeploymentPhase | None = None
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    def show(self, phase: DeploymentPhase, reason: str) -> None:
        """The attribute is written only when it changes: each time is an event."""
        if phase is not self.phase:
            self.phase, self.since = phase, workflow.now()
        self.reason = reason
        if self._shown is not phase:
            self._shown = phase
            workflow.upsert_search_attributes([names.SA_STATE.value_set(str(phase))])
        self._lines.append(f"- {workflow.now():%H:%M:%S} **{phase}**: {reason}")
        head = f"## deployment {self._deployment}: {phase}, {reason}"
        workflow.set_current_details("\n".join([head, "", *reversed(self._lines)]))
