"""Durable operations of one kind, as clients see them: started, found by name, ordered, asked, waited for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio.api.common.v1 import WorkflowExecution as WorkflowExecutionName
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from holdfast.client.errors import AlreadyRunning, HoldfastError, InvalidState, NoWorker, OperationFailed
from holdfast.client.messages import TAKEN_WITHIN, send, shortened
from holdfast.client.translation import from_rpc, is_not_found, is_timeout
from holdfast.contracts import names

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is the same of all operations of a kind."""

    word: str  # as people call one
    article: str
    pattern: str  # of names
    prefix: str  # of workflow ids; the name follows
    workflow: str
    unknown: type[HoldfastError]
    show: str  # the command that shows one; its name follows
    end: str  # the command that ends one; its name follows
    begin: str  # the command that starts one


class Operations:
    """All of one kind, over one connection to Temporal."""

    def __init__(self, client: Client, kind: Kind) -> None:
        self._client = client
        self._kind = kind

    async def start(
        self,
        name: str,
        order: object,
        *,
        summary: str,
        attributes: Sequence[SearchAttributePair[Any]] = (),
        priority: Priority = Priority.default,
    ) -> str:
        """Start one and return its run id.

        Raises:
            AlreadyRunning: there is one of this name.
        """
        try:
            handle = await self._client.start_workflow(
                self._kind.workflow,
                order,
                id=self._kind.prefix + name,
                task_queue=names.CONTROL_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                search_attributes=TypedSearchAttributes(attributes),
                static_summary=summary,
                priority=priority,
            )
        except WorkflowAlreadyStartedError as err:
            raise self.taken(name) from err
        except RPCError as err:
            raise self.refused(err) from err
        return handle.first_execution_run_id or handle.result_run_id or ""

    async def running(self) -> dict[str, WorkflowExecution]:
        """All that exist, by their names, sorted."""
        wanted = f"WorkflowType = '{self._kind.workflow}' AND ExecutionStatus = 'Running'"
        try:
            found = [each async for each in self._client.list_workflows(wanted)]
        except RPCError as err:
            raise self.refused(err) from err
        return {each.id.removeprefix(self._kind.prefix): each for each in sorted(found, key=lambda each: each.id)}

    async def ask(self, name: str, question: str, answer: type[Answer]) -> Answer:
        """Ask one, also after its end while the server remembers it.

        Raises:
            NoWorker: nobody answers for it.
            HoldfastError: there is none; of the kind's own class.
        """
        try:
            told: Answer = await self.handle(name).query(question, result_type=answer, rpc_timeout=TAKEN_WITHIN)
        except WorkflowQueryFailedError as err:
            raise OperationFailed(f"the {self._kind.word} {name!r} cannot answer: {err}") from err
        except RPCError as err:
            raise await self._explained(name, err) from err
        return told

    async def order(self, name: str, update: str, answer: type[Answer], *args: Any) -> Answer:
        """Send an update and wait until it took effect.

        Raises:
            InvalidState: it has ended, or refuses.
            NoWorker: nobody took the order in time; it may still happen when a worker is back.
            HoldfastError: there is none; of the kind's own class.
        """
        try:
            return await send(
                self.handle(name), name, update, answer, args, explain=lambda err: self._explained(name, err)
            )
        except InvalidState as err:
            if isinstance(err.__cause__, WorkflowUpdateFailedError):  # its own refusal; else it has ended
                raise InvalidState(str(err), remedy=self.look_at(name)) from err
            raise

    async def signal(self, name: str, signal: str, word: object) -> None:
        """Tell one something; answers when the server has it. Raises as `ask`."""
        try:
            await self.handle(name).signal(signal, word, rpc_timeout=TAKEN_WITHIN)
        except RPCError as err:
            raise await self._explained(name, err) from err

    async def ended(self, name: str) -> None:
        """Wait until one has ended. Raises as `ask`."""
        try:
            await self.handle(name).result()
        except RPCError as err:
            raise await self._explained(name, err) from err

    async def erase(self, name: str) -> None:
        """Let the server forget one that has ended, which it would by itself after its retention. Repeatable."""
        order = DeleteWorkflowExecutionRequest(
            namespace=self._client.namespace,
            workflow_execution=WorkflowExecutionName(workflow_id=self._kind.prefix + name),
        )
        try:
            await self._client.workflow_service.delete_workflow_execution(order)
        except RPCError as err:
            if not is_not_found(err):
                raise self.refused(err) from err

    def handle(self, name: str) -> WorkflowHandle[Any, Any]:
        """Its workflow. A server refuses a very long name in words of its own, hence the look at it."""
        if not re.fullmatch(self._kind.pattern, name):
            raise self._kind.unknown(f"there is no {self._kind.word} {shortened(name)!r}")
        return self._client.get_workflow_handle(self._kind.prefix + name)

    def taken(self, name: str) -> AlreadyRunning:
        """The refusal of a name that another has."""
        return AlreadyRunning(
            f"{self._kind.article} {self._kind.word} named {name!r} exists already",
            remedy=f"`{self._kind.end} {name}` ends it; or choose another name",
        )

    def look_at(self, name: str) -> str:
        """The remedy where an order does not fit how it is."""
        return f"`{self._kind.show} {name}` shows how it is"

    async def _explained(self, name: str, err: RPCError) -> HoldfastError:
        if is_timeout(err):
            return NoWorker(f"no worker answered for the {self._kind.word} {name!r} in time")
        if is_not_found(err):
            return await self._gone(name)
        return self.refused(err)

    async def _gone(self, name: str) -> HoldfastError:
        """NOT_FOUND is said of what never was, of what has ended, and of what no worker answers for."""
        word = f"the {self._kind.word} {name!r}"
        try:
            found = await self.handle(name).describe()
        except RPCError:
            return self._kind.unknown(f"there is no {self._kind.word} {name!r}")
        if found.status is WorkflowExecutionStatus.RUNNING:
            return NoWorker(f"no worker answers for {word}")
        return InvalidState(f"{word} has ended", remedy=f"`{self._kind.begin}` starts it anew")

    def refused(self, err: RPCError) -> HoldfastError:
        """What the server says no to, in our words."""
        return from_rpc(err, self._client.service_client.config.target_host)


async def is_running(client: Client, workflow_id: str) -> bool:
    """Whether there is such a workflow, and it has not ended."""
    try:
        found = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as err:
        if is_not_found(err):
            return False
        raise from_rpc(err, client.service_client.config.target_host) from err
    return found.status is WorkflowExecutionStatus.RUNNING


async def refuse_running(client: Client, workflow_id: str, refusal: AlreadyRunning) -> None:
    """Raise the refusal where such a workflow runs."""
    if await is_running(client, workflow_id):
        raise refusal
