"""Hand a workload over to Temporal; before that, its folder to the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from holdfast.client.calls import ask
from holdfast.client.errors import AlreadyRunning, SecretMissing, SpecInvalid, SpecProblem
from holdfast.client.operations import refuse_running
from holdfast.client.translation import from_rpc
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.deployments import deployment_of
from holdfast.contracts.endpoints import endpoint_of
from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.contracts.spec import SecretRef, WorkloadSpec
from holdfast.contracts.workload import Phase, WorkloadInput
from holdfast.policy import keeping
from holdfast.policy.deadline import Use
from holdfast.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Started:
    """A workload that is the server's own now; whatever dies next, it goes on."""

    name: str
    run_id: str
    cheapest: Offer  # the market's best at the moment of starting; placement may choose another
    workdir: CheckpointRef | None
    unanswered: Mapping[str, str] = field(default_factory=dict)  # by provider, why it gave no answer


async def refuse_running_name(client: Client, name: str) -> None:
    """Raise `AlreadyRunning` early, before a folder is read for nothing. The start itself checks again.

    The names of replicas are their endpoint's, also of those that it does not have yet.
    """
    if endpoint := endpoint_of(name):
        await refuse_running(client, names.endpoint_id(endpoint), _is_a_replica(name, f"the endpoint {endpoint!r}"))
        if deployment := deployment_of(endpoint):
            taken = _is_a_replica(name, f"the deployment {deployment!r}")
            await refuse_running(client, names.deployment_id(deployment), taken)
    await refuse_running(client, names.workload_id(name), _already_running(name))


def refuse_impossible_deadline(spec: WorkloadSpec) -> None:
    """Raise `SpecInvalid` for a deadline that not even a machine rented now, and never lost, can meet."""
    wanted = spec.policy.deadline
    if wanted is None:
        return
    problems = []
    if not keeping.is_possible(wanted, datetime.now(UTC)):
        least = (wanted.work + wanted.changeover).total_seconds() / 3600
        told = f"cannot be met any more: the work and one changeover take {least:.2f} h from now on"
        problems.append(SpecProblem(path="policy.deadline", message=told, line=1, column=1))
    if spec.resources.terms is not Terms.INTERRUPTIBLE:
        told = "is for policy.deadline to choose: leave it out"
        problems.append(SpecProblem(path="resources.terms", message=told, line=1, column=1))
    if problems:
        raise SpecInvalid(spec.name, tuple(problems))


def most_that_is_needed(spec: WorkloadSpec) -> Requirements:
    """What must be for rent: to keep a deadline, a machine on demand, for spot may not be there when it counts."""
    wanted = spec if spec.policy.deadline is None else keeping.with_terms(spec, Use.ON_DEMAND)
    return wanted.requirements()


async def refuse_missing_secrets(client: Client, spec: WorkloadSpec) -> None:
    """Raise `SecretMissing` before a machine is rented for work that could not start on it."""
    wanted = sorted({each.secret for each in spec.environment.values() if isinstance(each, SecretRef)})
    if not wanted:
        return
    missing = await ask(
        client, acts.missing_secrets, wanted, queue=names.HOSTS_QUEUE, summary=f"are the secrets of {spec.name} there"
    )
    if missing:
        raise SecretMissing(f"the host workers have no secret called {', '.join(missing)}")


async def start(client: Client, spec: WorkloadSpec, workdir: CheckpointRef | None) -> str:
    """Start the workflow and return its run id.

    Raises:
        AlreadyRunning: another start was quicker.
    """
    try:
        handle = await client.start_workflow(
            names.WORKLOAD,
            WorkloadInput(spec=spec, workdir=workdir),
            id=names.workload_id(spec.name),
            task_queue=names.CONTROL_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            search_attributes=_search_attributes(spec),
            static_summary=_summary(spec),
            static_details=_details(spec),
        )
    except WorkflowAlreadyStartedError as err:
        raise _already_running(spec.name) from err
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err
    return handle.first_execution_run_id or handle.result_run_id or ""


async def save_workdir(spec: WorkloadSpec, folder: Path, settings: Settings) -> CheckpointRef:
    """Save a folder as checkpoint zero. Raises `StoreUnavailable`."""
    # Imported here: most starts bring no folder, and the store's client takes longer to import than to start.
    from holdfast.client.folders import save_folder  # noqa: PLC0415

    return await save_folder(spec.name, folder, exclude=spec.checkpoint.exclude, settings=settings)


def _already_running(name: str) -> AlreadyRunning:
    return AlreadyRunning(
        f"a workload named {name!r} is already running",
        remedy=f"`holdfast stop {name}` ends it; or choose another name",
    )


def _is_a_replica(name: str, of: str) -> AlreadyRunning:
    return AlreadyRunning(f"{name!r} is what a replica of {of} is called", remedy="choose another name")


def _search_attributes(spec: WorkloadSpec) -> TypedSearchAttributes:
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(names.SA_WORKLOAD, spec.name),
        SearchAttributePair(names.SA_STATE, Phase.PLACING.value),
        SearchAttributePair(names.SA_EPOCH, 0),
    ]
    if spec.resources.gpu:
        pairs.append(SearchAttributePair(names.SA_GPU, spec.resources.gpu))
    return TypedSearchAttributes(pairs)


def _summary(spec: WorkloadSpec) -> str:
    wanted = f"{spec.resources.gpu_count}x {spec.resources.gpu or 'any GPU'}"
    return f"{spec.name}: {wanted}, up to {spec.price.max_hourly} USD/h"


def _details(spec: WorkloadSpec) -> str:
    """What a person in the Web UI wants to know of the spec. No environment: values there may be private."""
    return "\n".join(
        (
            f"- command: `{spec.command.strip()[:500]}`",
            f"- image: `{spec.image}`",
            f"- checkpoint every {spec.checkpoint.every}, failover by {', '.join(spec.failover.ladder)}",
            f"- objectives: RTO {spec.objectives.rto or 'none'}, RPO {spec.objectives.rpo or 'none'}",
        )
    )
