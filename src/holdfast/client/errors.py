"""What can go wrong for a caller, one class per different thing to do about it.

Every error says what happened in its message and what to do next in `remedy`. This module imports nothing, so
that a caller may catch these errors without paying for the SDK.
"""

from dataclasses import dataclass
from typing import ClassVar, Self


class HoldfastError(Exception):
    """An operation was refused or did not happen. `remedy` is one sentence for the person who asked for it."""

    remedy_by_default: ClassVar[str] = ""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = self.remedy_by_default if remedy is None else remedy

    def about(self, name: str) -> Self:
        """The same error, with the workload's name in the commands that its remedy gives."""
        self.remedy = self.remedy.replace(" NAME`", f" {name}`")
        return self

    def at(self, provider: str) -> Self:
        """The same error, with the provider's name in the settings that its remedy gives."""
        self.remedy = self.remedy.replace("__<NAME>__", f"__{provider.upper()}__")
        return self


@dataclass(frozen=True, kw_only=True)
class SpecProblem:
    """One mistake in a spec, and where it stands. Lines and columns count from 1."""

    path: str  # such as "price.max_hourly"
    message: str
    line: int
    column: int


class SpecInvalid(HoldfastError):
    """The spec cannot be used; `problems` lists every mistake in it. Nothing was rented."""

    remedy_by_default = "correct the spec; docs/spec.md describes every field"

    def __init__(self, source: str, problems: tuple[SpecProblem, ...]) -> None:
        lines = [f"{source}:{each.line}:{each.column}: {each.path}: {each.message}" for each in problems]
        super().__init__("\n".join(lines))
        self.source = source
        self.problems = problems


class UnknownWorkload(HoldfastError):
    """Neither the server nor the records know a workload of this name."""

    remedy_by_default = "`holdfast ps --all` lists the names that are known"


class NoSuchTime(HoldfastError):
    """The time that was asked about ends before it begins, or has not begun."""

    remedy_by_default = "begin earlier, or end later"


class UnknownGpu(HoldfastError):
    """No price of such a GPU is on record."""

    remedy_by_default = "`holdfast market ls` lists what is on record; `holdfast market survey` asks the providers now"


class NoPrices(HoldfastError):
    """The GPU is known, and nothing is on record for what was asked of it."""

    remedy_by_default = "ask for a longer time, or leave out --provider, --region and --kind"


class UnknownReference(HoldfastError):
    """Nobody of this name has a price that savings could be shown against."""

    remedy_by_default = "`holdfast market references` lists those that are known"


class NoReceiver(HoldfastError):
    """Nobody is to be told of anything: the settings name no webhook."""

    remedy_by_default = "set HOLDFAST_NOTIFY__URL and HOLDFAST_NOTIFY__SECRET; docs/notifications.md"


class UnknownIncident(HoldfastError):
    """The workload lost no machine of this epoch."""

    remedy_by_default = "`holdfast report NAME` shows the incidents that there were"


class UnknownPool(HoldfastError):
    """There is no warm pool of this name."""

    remedy_by_default = "`holdfast pool ls` lists the pools"


class UnknownEndpoint(HoldfastError):
    """There is no endpoint of this name."""

    remedy_by_default = "`holdfast endpoint ls` lists the endpoints"


class UnknownJob(HoldfastError):
    """Neither the server nor the records know a job of this name."""

    remedy_by_default = "`holdfast job ls --all` lists the jobs that are known"


class UnknownTuning(HoldfastError):
    """The server knows no fine-tuning of this name."""

    remedy_by_default = "`holdfast finetune ls` lists those that go on; `holdfast model ls` what came of others"


class UnknownModel(HoldfastError):
    """No model of this name, or no such version of it, is registered."""

    remedy_by_default = "`holdfast model ls --all` lists what is and was registered"


class UnknownDeployment(HoldfastError):
    """There is no deployment of this name."""

    remedy_by_default = "`holdfast deployment ls` lists the deployments"


class DeploymentInvalid(HoldfastError):
    """A model cannot be deployed as it is asked for. Nothing was rented."""

    remedy_by_default = "`holdfast deploy --help` shows what can be asked for; docs/deployments.md"


class TuningInvalid(HoldfastError):
    """A fine-tuning cannot be done as it is asked for. Nothing was rented."""

    remedy_by_default = "`holdfast finetune templates` shows what can be asked for; docs/fine-tuning.md"


class DatasetInvalid(HoldfastError):
    """A data set cannot be trained on. Nothing was rented."""

    remedy_by_default = "`holdfast finetune validate FILE` names every line; docs/fine-tuning.md has the formats"


class TooLarge(HoldfastError):
    """No GPU that is for rent has enough memory for it. Nothing was rented."""

    remedy_by_default = "ask for less; `holdfast finetune estimate` shows what takes how much"


class DeploymentFailed(HoldfastError):
    """The new version could not serve, or did not answer its smoke test. It was removed; what served before serves."""

    remedy_by_default = "`holdfast deployment show NAME` shows every release and why it failed"


class ModelInvalid(HoldfastError):
    """A model's name, source or folder cannot be used. Nothing was fetched."""

    remedy_by_default = "`holdfast model register --help` shows what can; docs/models.md"


class SourceRefused(HoldfastError):
    """Where a model or an input is to come from says no, or has what cannot be used. Nothing was rented for it."""

    remedy_by_default = (
        "check the name and the revision; for a gated or private model put a token into the secret hf_token of the "
        "host workers (docs/models.md)"
    )


class SourceUnavailable(HoldfastError):
    """Where a model or an input is to come from gives no usable answer. Nothing was rented for it."""

    remedy_by_default = (
        "the host workers must reach it: check HOLDFAST_MODELS__HUB_URL there; or fetch the model elsewhere and "
        "register its folder. What was fetched is kept, and the same command goes on with it"
    )


class UnknownMachine(HoldfastError):
    """Nothing is remembered of such a machine."""

    remedy_by_default = "`holdfast machines ls` lists those that are remembered"


class AlreadyRunning(HoldfastError):
    """A workload of this name runs; a name is a lock."""

    remedy_by_default = "stop it first with `holdfast stop NAME`, or choose another name"


class InvalidState(HoldfastError):
    """The operation does not fit what the workload is doing now."""

    remedy_by_default = "`holdfast status NAME` shows what it is doing"


class NoOffers(HoldfastError):
    """No machine can be had within the limits. Nothing was rented."""

    remedy_by_default = "raise price.max_hourly or ask for less; `holdfast offers` shows the market"


class BudgetExceeded(HoldfastError):
    """What is left of a budget does not pay for a machine. Nothing was rented."""

    remedy_by_default = "`holdfast budget show` shows what is spent; `holdfast budget set` changes the limit"


class NoProvider(HoldfastError):
    """No provider is configured, or the spec names one that is not."""

    remedy_by_default = (
        "set HOLDFAST_PROVIDERS__VAST__API_KEY, or that of another provider (docs/providers.md), "
        "or run `holdfast up` for the simulated market"
    )


class SecretMissing(HoldfastError):
    """The spec names a secret that the host workers do not have. Nothing was rented."""

    remedy_by_default = "put its value into a file of that name in the data directory's secrets folder, mode 0600"


class CredentialsRefused(HoldfastError):
    """A provider does not accept our key."""

    remedy_by_default = (
        "check the settings HOLDFAST_PROVIDERS__<NAME>__* (its key, its project) where the provider worker runs; "
        "`holdfast doctor` tests them"
    )


class OutOfCredit(HoldfastError):
    """The provider's account has no money left."""

    remedy_by_default = "add credit at the provider; the workload goes on by itself then"


class ProviderUnavailable(HoldfastError):
    """A provider's API did not give a usable answer in time."""

    remedy_by_default = "try again in a minute; running workloads are not touched by this"


class StoreUnavailable(HoldfastError):
    """The object store cannot be reached or does not accept our key."""

    remedy_by_default = "`holdfast doctor` probes the store; check the HOLDFAST_STORE__* settings"


class RecordsUnavailable(HoldfastError):
    """The records database cannot be used."""

    remedy_by_default = "`holdfast doctor` checks the records; check HOLDFAST_RECORDS_URL"


class TemporalUnavailable(HoldfastError):
    """No Temporal server answers. Nothing that runs is lost: it goes on when the server is back."""

    remedy_by_default = "run `holdfast up`, or set TEMPORAL_ADDRESS to a server that runs"


class NoWorker(HoldfastError):
    """The server answers, and no worker takes the work in time."""

    remedy_by_default = "start one with `holdfast worker --role all` (`holdfast up` does so by itself)"


class NoCheckpoint(HoldfastError):
    """There is no such committed checkpoint."""

    remedy_by_default = "`holdfast checkpoint ls NAME` lists what can be restored"


class CheckpointCorrupt(HoldfastError):
    """Bytes of a checkpoint are missing or changed."""

    remedy_by_default = "`holdfast checkpoint ls NAME` lists older checkpoints; verify one and restore it"


class FolderNotEmpty(HoldfastError):
    """A restore makes a folder what the checkpoint says; it will not remove what stands there."""

    remedy_by_default = "give a new or empty folder; nothing is overwritten"


class FolderUnusable(HoldfastError):
    """A folder to restore into cannot be made or written."""

    remedy_by_default = "give a folder on this computer that you may write to"


class OperationFailed(HoldfastError):
    """The operation was tried and failed; the message carries the worker's own reason."""

    remedy_by_default = "`holdfast status NAME` and the Temporal Web UI show what happened"


class Unanswered(HoldfastError):
    """The answer did not come in time. Whether the operation happened is unknown; asking again is safe."""

    remedy_by_default = "look with `holdfast status NAME`, then ask again"
