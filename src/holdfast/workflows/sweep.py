"""Find machines, and copies of disks, that nobody owns at one provider, and end them. Run by a schedule, and by hand.

It works from the outside: what a workload's own end could not do, because its run was terminated, its records were
rolled back or a provider accepted an order twice, is found here by what the provider lists.
"""

from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.disks import JudgeCopiesInput
from holdfast.contracts.failover import ReleaseInput
from holdfast.contracts.sweeping import Finding, JudgeInput, Known, Look, Ruling, Stock, SweepInput, SweepResult
from holdfast.workflows import steps
from holdfast.workflows.failures import words_of
from holdfast.workflows.releasing import release_by_order


@workflow.defn(name=names.SWEEP)
class SweepWorkflow:
    @workflow.run
    async def run(self, order: SweepInput) -> SweepResult:
        asked_at = workflow.now()
        stock = await steps.take_stock(order.provider)
        look = await _look(order, stock)
        findings: list[Finding] = []
        if not look.doubt:
            findings = await steps.judge_strangers(
                JudgeInput(
                    provider=order.provider,
                    strangers=look.strangers,
                    abandoned=stock.abandoned,
                    grace=order.grace,
                    dry_run=order.dry_run,
                    asked_at=asked_at,
                    listed_at=workflow.now(),
                )
            )
        ending = [] if order.dry_run else [each for each in findings if each.ruling is Ruling.END]
        for finding in ending:
            await _end(finding)
        orphans = () if order.dry_run else stock.orphans
        for orphan in orphans:
            with suppress(FailureError):  # it has ended by itself meanwhile
                await workflow.get_external_workflow_handle(orphan).cancel()
        copies = await _drop_copies(order, stock, look, asked_at)
        workflow.set_current_details(_told(look, findings, copies))
        return SweepResult(
            provider=order.provider,
            swept_at=workflow.now(),
            dry_run=order.dry_run,
            owned=len(stock.owned) + len(stock.launching),
            listed=look.listed,
            foreign=look.foreign,
            findings=tuple(findings),
            doubt=look.doubt,
            copies=tuple(copies),
            orphans=stock.orphans,
        )


async def _look(order: SweepInput, stock: Stock) -> Look:
    try:
        return await steps.look_for_strangers(order.provider, stock)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        return Look(doubt=f"{order.provider} did not tell what it has: {words_of(err)}")


async def _end(finding: Finding) -> None:
    """Where the lease is another machine's, its label must not be emptied: this machine alone goes."""
    if finding.known is Known.OTHER:
        await _destroy(finding)
        return
    parsed = names.parse_label(finding.label)
    assert parsed is not None, f"{finding.label} is no label of ours"
    await release_by_order(
        ReleaseInput(
            workload=parsed[0],
            provider=finding.provider,
            label=finding.label,
            instance_id=finding.instance_id,
            reason=f"swept: {finding.reason}",
        )
    )


async def _destroy(finding: Finding) -> None:
    """A machine that will not go keeps no other from being ended: the next sweep finds it again."""
    try:
        await steps.destroy_soon(finding.provider, finding.instance_id)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        workflow.logger.warning("%s %s is not gone yet: %s", finding.label, finding.instance_id, words_of(err))


async def _drop_copies(order: SweepInput, stock: Stock, look: Look, asked_at: datetime) -> list[str]:
    """Copies of disks that nobody owns, by the records or by the provider's list, if that can be believed."""
    found = tuple(sorted({*stock.left_copies, *look.copies}))
    if look.doubt or look.copies_doubt or not found:
        return []
    ending = await steps.judge_disk_copies(
        JudgeCopiesInput(
            provider=order.provider,
            names=found,
            grace=order.grace,
            dry_run=order.dry_run,
            asked_at=asked_at,
            listed_at=workflow.now(),
        )
    )
    for name in [] if order.dry_run else ending:
        try:
            await steps.drop_disk_copy_soon(order.provider, name)
            await steps.close_disk_copy(name)
        except ActivityError as err:
            if is_cancelled_exception(err):
                raise
            workflow.logger.warning("copy %s is not gone yet: %s", name, words_of(err))
    return ending


def _told(look: Look, findings: list[Finding], copies: list[str]) -> str:
    if look.doubt:
        return f"nothing was done: {look.doubt}"
    lines = [f"{look.listed} machines of ours, {look.foreign} of others, {len(findings)} strangers"]
    lines += [f"- `{each.label}` {each.instance_id}: {each.ruling}, {each.reason}" for each in findings]
    lines += [f"- `{name}`: a copy of a disk that nobody owned" for name in copies]
    lines += [f"copies of disks were not listed: {look.copies_doubt}"] if look.copies_doubt else []
    return "\n".join(lines)
