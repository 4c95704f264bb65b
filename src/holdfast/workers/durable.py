"""What every worker and every replay of a history must agree on: the workflows, and the sandbox they run in."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from holdfast.workers.marking import MarkingRunner
from holdfast.workflows.checkpoint_sync import CheckpointSyncWorkflow
from holdfast.workflows.deployment import DeploymentWorkflow
from holdfast.workflows.disk_copies import DiskCopiesWorkflow
from holdfast.workflows.endpoint import EndpointWorkflow
from holdfast.workflows.failover import FailoverWorkflow
from holdfast.workflows.fine_tune import FineTuneWorkflow
from holdfast.workflows.garbage import GarbageWorkflow
from holdfast.workflows.job import JobWorkflow
from holdfast.workflows.job_queue import JobQueueWorkflow
from holdfast.workflows.mirror import MirrorWorkflow
from holdfast.workflows.model_registration import ModelRegistrationWorkflow
from holdfast.workflows.reconcile import ReconcileWorkflow
from holdfast.workflows.release import ReleaseWorkflow
from holdfast.workflows.survey import SurveyWorkflow
from holdfast.workflows.sweep import SweepWorkflow
from holdfast.workflows.warm_pool import WarmPoolWorkflow
from holdfast.workflows.watch import WatchWorkflow
from holdfast.workflows.workload import WorkloadWorkflow

WORKFLOWS = (
    WorkloadWorkflow,
    FailoverWorkflow,
    CheckpointSyncWorkflow,
    ReleaseWorkflow,
    WatchWorkflow,
    GarbageWorkflow,
    SweepWorkflow,
    ReconcileWorkflow,
    SurveyWorkflow,
    WarmPoolWorkflow,
    MirrorWorkflow,
    DiskCopiesWorkflow,
    EndpointWorkflow,
    DeploymentWorkflow,
    ModelRegistrationWorkflow,
    JobWorkflow,
    JobQueueWorkflow,
    FineTuneWorkflow,
)

# Contracts are plain data, so sharing them saves time and memory. Policy stays inside: a clock read by mistake then
# fails at replay instead of passing silently.
SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "holdfast.contracts", "holdfast.workers.marking", "pydantic", "pydantic_core"
    ),
    runner_class=MarkingRunner,
)
