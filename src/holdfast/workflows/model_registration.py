"""Bring a model from where it is to our store, and give it a version.

1. Ask the source what there is, and settle on a revision: whatever is repeated from now on fetches the same.
2. A version that came from this very revision is the answer; nothing is fetched.
3. Fetch its files into the store. That goes on for as long as it takes, file by file.
4. Give what is stored a version.

Holds throughout: one registration at a time under a name, and no token in any message.
"""

from dataclasses import replace

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.models import AddModelInput, FindModelInput, ModelVersion, RegisterModelInput
from holdfast.workflows import steps


@workflow.defn(name=names.MODEL_REGISTRATION)
class ModelRegistrationWorkflow:
    @workflow.run
    async def run(self, order: RegisterModelInput) -> ModelVersion:
        plan = await steps.plan_model(order)
        workflow.set_current_details(
            f"`{plan.source}` at `{plan.revision or 'no revision'}`: {len(plan.files)} files, "
            f"{plan.bytes_total:,} bytes; {plan.left_out} files hold the same weights in another form"
        )
        if (known := await self._known(order, plan.source, plan.revision)) is not None:
            return known
        stored = await steps.fetch_model(order, plan)
        return await steps.add_model(
            AddModelInput(
                name=order.name,
                source=plan.source,
                revision=plan.revision,
                stored=replace(stored, licence=plan.licence or stored.licence),
                licence=order.licence,
                gated=plan.gated,
                kind_stated=order.kind is not None,
            )
        )

    async def _known(self, order: RegisterModelInput, source: str, revision: str) -> ModelVersion | None:
        """What is stated anew must reach the record, so only an order that states nothing is answered so soon."""
        if not revision or order.only or order.kind or order.licence or order.memory_bytes is not None:
            return None
        return await steps.find_model(FindModelInput(name=order.name, source=source, revision=revision))
