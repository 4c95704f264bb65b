"""What `jobs.py` puts in the place of machines: a workload that takes its time and ends well."""

from datetime import timedelta

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.workload import Phase, ReplicaWord, Upshot, WorkloadInput

TAKES = "TAKES"
"""The variable of a job's environment that says how many seconds it takes."""


@workflow.defn(name=names.WORKLOAD)
class StandIn:
    """Tells its owner what a workload tells it, and rents nothing."""

    @workflow.run
    async def run(self, order: WorkloadInput) -> None:
        await self._say(order, Phase.RUNNING)
        await workflow.sleep(timedelta(seconds=float(str(order.spec.environment[TAKES]))))
        await self._say(order, Phase.FINISHED, Upshot.FINISHED)

    async def _say(self, order: WorkloadInput, phase: Phase, upshot: Upshot | None = None) -> None:
        word = ReplicaWord(
            workload=order.spec.name,
            phase=phase,
            reason=phase.value,
            lease=None,
            upshot=upshot,
            exit_code=None if upshot is None else 0,
        )
        await workflow.get_external_workflow_handle(order.owner).signal("replica_said", word)
