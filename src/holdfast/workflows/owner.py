"""Tell the workflow that owns a workload how it stands: where it runs, that it sleeps, that it is over."""

from temporalio import workflow
from temporalio.exceptions import FailureError

from holdfast.contracts.workload import Phase, ReplicaWord, Upshot
from holdfast.workflows.cancelling import heed_cancel
from holdfast.workflows.life import Life

Stand = tuple[Phase, str, int, object]


async def keep_owner_told(life: Life) -> None:
    """For ever; to be cancelled with the workload's end, of which the owner must be told last."""
    told: list[Stand] = []
    while True:
        await workflow.wait_condition(lambda: _is_to_be_told(life) and (life.owner_asks or _stand(life) not in told))
        told[:], life.owner_asks = [_stand(life)], False
        await tell_owner(life)


async def tell_owner(life: Life) -> None:
    """An owner that is gone, or was ended, is not told: nobody waits."""
    word = ReplicaWord(
        workload=life.spec.name,
        phase=life.face.phase,
        reason=life.face.reason,
        lease=life.lease,
        started_at=life.started_at,
        phases=life.phases,
        upshot=(life.upshot or Upshot.UNFORESEEN) if life.face.phase.is_final else None,
        exit_code=life.exit_code,
        head=life.head,
        incidents=life.incidents,
    )
    try:
        await workflow.get_external_workflow_handle(life.owner).signal("replica_said", word)
    except FailureError:
        heed_cancel()
        workflow.logger.info("nobody answers as %s, who owns %s", life.owner, life.spec.name)


def _is_to_be_told(life: Life) -> bool:
    """Not that a machine is doubted: it goes on serving until something comes of that. Nor what is half done."""
    half_done = life.face.phase is Phase.RUNNING and life.lease is None
    return life.face.phase is not Phase.SUSPECT and not half_done


def _stand(life: Life) -> Stand:
    lease = life.lease
    return (life.face.phase, lease.label if lease else "", lease.epoch if lease else 0, life.started_at)
