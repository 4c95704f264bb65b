"""Fine-tunings, for other services: checked, submitted, watched, cancelled.

What a fine-tuning needs is laid into a folder, which becomes the job's files: the trainer, its order and the data set.
The base is an input of the job. All of it is in the store, and proven, before a machine is rented.
"""

import asyncio
import json
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError
from temporalio.client import Client
from temporalio.common import SearchAttributePair

from holdfast.client import tuned_serving, tuning
from holdfast.client.calls import ask
from holdfast.client.deploying import Deployments
from holdfast.client.errors import ModelInvalid, TuningInvalid, UnknownTuning
from holdfast.client.jobs import Jobs
from holdfast.client.operations import Kind, Operations
from holdfast.client.serving import hash_of, new_token
from holdfast.client.tuned_serving import Serving
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.fine_tuning import DeployTuned, FineTuneInput, FineTuneStatus, TunePhase
from holdfast.contracts.jobs import JOB_PATTERN, CancelJob, InputSpec, JobSpec
from holdfast.contracts.machines import Offer
from holdfast.contracts.models import MODEL_PATTERN
from holdfast.contracts.training import DataPin, DatasetReport, HyperParameters, Method, TrainingOrder
from holdfast.models.sources import is_elsewhere
from holdfast.settings import Settings
from holdfast.training.bundle import TRAINER, trainer_bundle
from holdfast.training.cookbook import setup_for

BASE, DATA, ORDER, OUTPUT = "base", "data.jsonl", "run.json", "output"
"""Where things stand in the workspace."""
_KIND = Kind(
    word="fine-tuning",
    article="a",
    pattern=JOB_PATTERN,
    prefix=names.fine_tune_id(""),
    workflow=names.FINE_TUNE,
    unknown=UnknownTuning,
    show="holdfast finetune show",
    end="holdfast finetune cancel",
    begin="holdfast finetune submit",
)


@dataclass(frozen=True, kw_only=True)
class TuneWish:
    """What is to be fine-tuned, on what, and for how much."""

    name: str
    base: str  # hf:org/name[@revision], s3://bucket/prefix or a folder of this computer
    dataset: Path
    template: str = "lora"
    changes: tuple[str, ...] = ()  # of its parameters, such as lora.rank=8
    model: str = ""  # under which it is registered; "": the name
    token: str = ""  # secret of the host workers that the base's source wants to see
    gpu_memory_gb: float | None = None  # None: as is estimated
    python: str = "python3"  # on the machine
    setup: str | None = None  # None: what installs the trainer's libraries
    job: Mapping[str, Any] = field(default_factory=dict)  # fields of a job's spec, such as price and budget
    serve: Serving | None = None  # what is registered is deployed


@dataclass(frozen=True, kw_only=True)
class SubmittedTuning:
    """A fine-tuning that is the server's own now."""

    name: str
    run_id: str
    model: str
    sha256: str  # of the data set
    gpu_memory_gb: float
    cheapest: Offer  # the market's best at that moment
    deployment: str = ""  # that the result is put behind
    token: str = ""  # for its callers; told once, and only where it begins with this


class FineTunings:
    """The operations on fine-tunings, over one connection to Temporal."""

    def __init__(self, client: Client, settings: Settings, deployments: Deployments) -> None:
        self._deployments = deployments
        self._operations = Operations(client, _KIND)
        self._client = client
        self._jobs = Jobs(client, settings)

    async def submit(self, wish: TuneWish) -> SubmittedTuning:
        """Check data, parameters, memory and market, and start it; returns before a machine is rented.

        Raises:
            DatasetInvalid: a line cannot be trained on, or the template takes no such data.
            TuningInvalid: a parameter or a field of the job cannot be.
            ModelInvalid: the base is no model whose needs are known; state `gpu_memory_gb`.
            SourceRefused: the base is not there, or is gated and we are not let in.
            SecretMissing: the host workers have no secret of that name.
            TooLarge: no card that is for rent holds it.
            AlreadyRunning, and whatever `Jobs.submit` raises; with `serve` also what `Deployments.deploy` does.
        """
        model = _model_of(wish)
        chosen = tuning.template(wish.template)
        parameters = tuning.parameters(chosen, wish.changes)
        report = await tuning.look_at(wish.dataset)
        tuning.require_fit(report, chosen)
        if wish.serve is not None:
            parameters = tuned_serving.with_probes(parameters, report)
        base = await self._look_at_base(wish)
        wish = replace(wish, base=base.source)
        memory = wish.gpu_memory_gb or _estimated(wish, base, parameters)
        data = _pin(report)
        deploy, token = await self._to_be_deployed(wish, model, base, parameters, data)
        spec = job_spec(wish, parameters, gpu_memory_gb=memory, disk_gb=chosen.disk_gb)
        with TemporaryDirectory(prefix="holdfast-tuning-") as folder:
            await asyncio.to_thread(_lay_out, Path(folder), wish, data, parameters)
            job, cheapest = await self._jobs.made_ready(spec, workdir=Path(folder))
        order = FineTuneInput(
            name=wish.name,
            job=replace(job, owner=names.fine_tune_id(wish.name)),
            base=wish.base,
            data=data,
            parameters=parameters,
            trainer=trainer_bundle().digest,
            holdfast=version("holdfast"),
            model=model,
            folder=_result_of(parameters),
            deploy=deploy,
        )
        pairs: list[SearchAttributePair[Any]] = [SearchAttributePair(names.SA_STATE, TunePhase.TRAINING.value)]
        summary = f"{wish.name}: {parameters.method} of {wish.base}"[:200]
        run_id = await self._operations.start(wish.name, order, summary=summary, attributes=pairs)
        return SubmittedTuning(
            name=wish.name,
            run_id=run_id,
            model=order.model,
            sha256=data.sha256,
            gpu_memory_gb=memory,
            cheapest=cheapest,
            deployment=deploy.name if deploy else "",
            token=token,
        )

    async def status(self, name: str) -> FineTuneStatus:
        """How it stands, also after its end while the server remembers it. Raises UnknownTuning, NoWorker."""
        return await self._operations.ask(name, "progress", FineTuneStatus)

    async def all(self) -> tuple[FineTuneStatus, ...]:
        """Those that go on, by name."""
        return tuple([await self.status(each) for each in await self._operations.running()])

    async def cancel(self, name: str, *, reason: str = "cancelled", save: bool = True) -> FineTuneStatus:
        """End it. Answers when that has begun; `wait` waits until its machine is gone."""
        return await self._operations.order(name, "cancel", FineTuneStatus, CancelJob(reason=reason, save=save))

    async def wait(self, name: str) -> FineTuneStatus:
        """Wait for its end, however long that takes. How it ended is in the answer, also where it failed."""
        await self._operations.ended(name)
        return await self.status(name)

    async def _to_be_deployed(
        self, wish: TuneWish, model: str, base: acts.BaseModel, parameters: HyperParameters, data: DataPin
    ) -> tuple[DeployTuned | None, str]:
        """The release with what is known of it now, proven to have a machine; and the token that callers will need."""
        if wish.serve is None:
            return None, ""
        planned = tuned_serving.stand_in(model, base, parameters, data)
        order = await tuned_serving.release(self._deployments, planned, wish.serve)
        token = new_token()
        deploy = DeployTuned(name=wish.serve.deployment, order=order, token_hashes=(hash_of(token),))
        return deploy, "" if await self._deployments.exists(wish.serve.deployment) else token

    async def _look_at_base(self, wish: TuneWish) -> acts.BaseModel:
        """With its revision, and with its whole path where it is a folder. Others are asked for by the host workers.

        They have the token that the source wants to see. It never comes here, and what is refused them is refused now.
        """
        if not is_elsewhere(wish.base):
            return await asyncio.to_thread(_in_folder, Path(wish.base))
        return await ask(
            self._client,
            acts.look_at_base,
            _base_input(wish),
            queue=names.HOSTS_QUEUE,
            summary=f"is {wish.base[:100]} there for us",
            within=timedelta(minutes=2),
        )


def _in_folder(folder: Path) -> acts.BaseModel:
    try:
        config = (folder / tuning.CONFIG).read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise ModelInvalid(f"{folder} has no {tuning.CONFIG} that can be read: {err}") from None
    weights = sum(each.stat().st_size for each in folder.glob("*.safetensors"))
    return acts.BaseModel(source=str(folder.resolve()), config=config, weights_bytes=weights)


def _estimated(wish: TuneWish, base: acts.BaseModel, parameters: HyperParameters) -> float:
    gpus = wish.job.get("resources", {}).get("gpu_count", 1)
    config = tuning.read_config(wish.base, base.config)
    return tuning.estimated(wish.base, config, parameters, gpus=gpus).gpu_memory_gb


def _base_input(wish: TuneWish) -> InputSpec:
    """The base as an input of the job. Raises TuningInvalid."""
    given: dict[str, Any] = {"source": wish.base, "at": BASE}
    try:
        return InputSpec.model_validate(given | ({"token": wish.token} if wish.token else {}))
    except ValidationError as err:
        raise _invalid(err, "base") from None


def job_spec(wish: TuneWish, parameters: HyperParameters, *, gpu_memory_gb: float, disk_gb: int) -> JobSpec:
    """The job that trains. What the wish says of a job wins over what follows from the training.

    Raises:
        TuningInvalid: that cannot be a job.
    """
    resources = {"gpu_memory_gb": gpu_memory_gb, "disk_gb": disk_gb, **wish.job.get("resources", {})}
    gpus = resources.get("gpu_count", 1)
    document: dict[str, Any] = {
        "setup": setup_for(parameters.method) if wish.setup is None else wish.setup or None,
        "checkpoint": {"exclude": ["*.draft"], **wish.job.get("checkpoint", {})},
        **{name: value for name, value in wish.job.items() if name not in ("resources", "checkpoint")},
        "name": wish.name,
        "command": _command(wish.python, gpus if isinstance(gpus, int) else 1),
        "resources": resources,
        "inputs": [_base_input(wish)],
        "outputs": [OUTPUT],
    }
    try:
        return JobSpec.model_validate(document)
    except ValidationError as err:
        raise _invalid(err, "job") from None


def _invalid(err: ValidationError, what: str) -> TuningInvalid:
    told = (f"{'.'.join(map(str, each['loc'])) or what}: {each['msg']}" for each in err.errors(include_url=False))
    return TuningInvalid("\n".join(told), remedy="docs/spec.md and docs/jobs.md describe every field")


def _command(python: str, gpus: int) -> str:
    """One process for each GPU."""
    start = shlex.join(shlex.split(python))
    if gpus > 1:
        start += f" -m torch.distributed.run --standalone --nproc-per-node {gpus}"
    return f"exec {start} {TRAINER} train {ORDER}"


def _lay_out(folder: Path, wish: TuneWish, data: DataPin, parameters: HyperParameters) -> None:
    """Everything the trainer needs but the base."""
    (folder / TRAINER).write_bytes(trainer_bundle().data)
    shutil.copyfile(wish.dataset, folder / DATA)
    order = TrainingOrder(
        base=BASE,
        base_name=wish.base,
        data=DATA,
        data_format=data.format,
        data_sha256=data.sha256,
        parameters=parameters,
        output=OUTPUT,
    )
    (folder / ORDER).write_text(json.dumps(order.document(), indent=1), encoding="utf-8")


def _pin(report: DatasetReport) -> DataPin:
    assert report.format is not None, "a usable data set has one"
    return DataPin(
        name=Path(report.path).name,
        sha256=report.sha256,
        format=report.format,
        examples=report.examples,
        bytes_total=report.bytes_total,
    )


def _model_of(wish: TuneWish) -> str:
    name = wish.model or wish.name
    if not re.fullmatch(MODEL_PATTERN, name):
        raise ModelInvalid(f"{name[:60]!r} cannot be a model's name: lower-case letters, digits and dashes, 40 at most")
    return name


def _result_of(parameters: HyperParameters) -> str:
    """The folder that is registered: a whole model where there is one, so that it can be served as it is."""
    whole = parameters.merge or parameters.method is Method.FULL
    return f"{OUTPUT}/model" if whole else f"{OUTPUT}/adapter"
