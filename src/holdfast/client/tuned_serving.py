"""What is known, before a training, of how its result will be served: memory, machine, and what it is to be asked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version

from holdfast.client import tuning
from holdfast.client.deploying import Deployments, Wish
from holdfast.client.errors import TuningInvalid
from holdfast.contracts import activities as acts
from holdfast.contracts.deployments import ReleaseOrder
from holdfast.contracts.models import ModelKind, ModelVersion, ServeOptions
from holdfast.contracts.spec import PauseMode
from holdfast.contracts.training import DataFormat, DataPin, DatasetReport, HyperParameters, Lineage
from holdfast.contracts.written import LONGEST_TEXT
from holdfast.policy.model_memory import Measured, needs_of
from holdfast.policy.probing import probe_set
from holdfast.policy.serving import OF_BASE, adapter_rank, recipe_for

_PROBES = 3
"""Taken from the data set where no prompts are given."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How the result is to be deployed, as `holdfast deploy` has it."""

    deployment: str
    options: ServeOptions
    recipe: str = ""  # "": the usual one of language models
    mode: PauseMode = PauseMode.STOP
    within: timedelta = timedelta(hours=1)


def with_probes(parameters: HyperParameters, report: DatasetReport) -> HyperParameters:
    """With prompts that base and tuned model are asked: those that are given, or the first of the data set's.

    Raises:
        TuningInvalid: there are none.
    """
    if parameters.samples.prompts:
        return parameters
    found = tuple(dict.fromkeys(_prompts_in(report)))[:_PROBES]
    if not found:
        why = "nothing is known that base and tuned model could be asked, so that their answers can be compared"
        raise TuningInvalid(why, remedy="give prompts: --set 'samples.prompts=[\"…\"]'")
    return parameters.model_copy(update={"samples": parameters.samples.model_copy(update={"prompts": found})})


def stand_in(model: str, base: acts.BaseModel, parameters: HyperParameters, data: DataPin) -> ModelVersion:
    """The version as it will be, as far as its server must know: it has the base's shape."""
    config = tuning.read_config(base.source, base.config)
    weights = base.weights_bytes
    measured = Measured(weights_bytes=weights, source="sizes of the base's files") if weights else None
    whole = ModelVersion(
        name=model,
        version=1,
        kind=ModelKind.LLM,
        source=base.source,
        revision="",
        licence="",
        gated=base.gated,
        digest="0" * 64,
        manifest="",
        files=0,
        bytes_total=weights,
        needs=needs_of(config, kind=ModelKind.LLM, measured=measured),
        registered_at=datetime.now(UTC),
        lineage=_lineage(base, parameters, data),
    )
    return whole if adapter_rank(whole) is None else replace(whole, bytes_total=0)


async def release(deployments: Deployments, model: ModelVersion, wish: Serving) -> ReleaseOrder:
    """Its order, with a comparison in its smoke test. Raises as `Deployments.deploy`, but for UnknownModel."""
    how = Wish(model=model.name, options=wish.options, recipe=wish.recipe, mode=wish.mode, within=wish.within)
    order = await deployments.made_ready(model, how, wish.recipe or recipe_for(model), wish.deployment)
    assert model.lineage is not None, "it stands in for one that is trained"
    served = order.spec.models[0]
    base = "" if adapter_rank(model) is None else f"{served}{OF_BASE}"
    comparison = probe_set(model.lineage, served=served, base=base)
    return replace(order, files=None, smoke=replace(order.smoke, comparison=comparison))


def _lineage(base: acts.BaseModel, parameters: HyperParameters, data: DataPin) -> Lineage:
    """Only base, data and parameters are known yet."""
    return Lineage(
        base=base.source,
        base_sha256="",
        data=data,
        parameters=parameters,
        trainer="",
        holdfast=version("holdfast"),
        job="",
        steps=0,
        loss=0,
        held_out_loss=None,
        attempts=0,
        incidents=0,
        cost=Decimal(0),
        differs=(),
        place={},
    )


def _prompts_in(report: DatasetReport) -> Iterator[str]:
    for line in report.sample:
        example = json.loads(line)
        match report.format:
            case DataFormat.MESSAGES:
                said = next((each["content"] for each in example["messages"] if each["role"] == "user"), "")
            case DataFormat.COMPLETION | DataFormat.PREFERENCE:
                said = example["prompt"]
            case _:
                said = ""
        if isinstance(said, str) and said.strip() and len(said) <= LONGEST_TEXT:
            yield said
