"""Claim a standby of a warm pool for a workload's next epoch.

Holds throughout: an answer that nobody heard leaves nothing behind. The fence goes above the claim's epoch first, so
that a pool that is late is refused by the records; then whatever the claim was given is let go.
"""

import asyncio
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.failover import ReleaseInput
from holdfast.contracts.machines import Lease
from holdfast.contracts.pools import ClaimAnswer, ClaimRequest
from holdfast.contracts.spec import WorkloadSpec
from holdfast.workflows import steps
from holdfast.workflows.failures import words_of
from holdfast.workflows.releasing import release_by_order


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What came of it."""

    epoch: int  # the newest that was spent
    answer: ClaimAnswer


async def claim(spec: WorkloadSpec, *, epoch: int, lost: Lease, avoid: frozenset[str]) -> Claim:
    """Ask the policy's pool. A cancel waits for the answer, and gives back what it brings."""
    if spec.failover.pool is None:
        return Claim(epoch=epoch, answer=ClaimAnswer(refusal="the policy names no pool"))
    request = ClaimRequest(
        pool=spec.failover.pool,
        workload=spec.name,
        epoch=epoch,
        lost_machine=lost.machine_id,
        region=lost.region,
        avoid=tuple(sorted(avoid)),
    )
    asking = asyncio.create_task(_ask(spec.name, request))
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.create_task(_give_back_what_comes(spec.name, asking)))
        raise


async def _ask(workload: str, request: ClaimRequest) -> Claim:
    try:
        return Claim(epoch=request.epoch, answer=await steps.claim_standby(request))
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        await _withdraw(workload, request.epoch)
        answer = ClaimAnswer(refusal=f"the pool {request.pool} does not answer: {words_of(err)}")
        return Claim(epoch=request.epoch + 1, answer=answer)


async def _give_back_what_comes(workload: str, asking: "asyncio.Task[Claim]") -> None:
    [claimed] = await asyncio.gather(asking, return_exceptions=True)
    if isinstance(claimed, Claim) and claimed.answer.lease is not None:
        await _let_go(workload, claimed.epoch)


async def _withdraw(workload: str, epoch: int) -> None:
    await steps.claim_epoch(workload, epoch + 1, None)
    await _let_go(workload, epoch)


async def _let_go(workload: str, epoch: int) -> None:
    """Whatever the records hold open for this epoch."""
    for lease in await steps.open_leases(workload):
        if names.parse_label(lease.label) == (workload, epoch):
            workflow.logger.info("%s is let go: its claim was given up", lease.label)
            await release_by_order(
                ReleaseInput(
                    workload=workload,
                    provider=lease.provider,
                    label=lease.label,
                    instance_id=lease.instance_id,
                    reason="its claim was given up",
                )
            )
