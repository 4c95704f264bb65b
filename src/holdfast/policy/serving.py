"""From a registered model and a recipe to the endpoint that serves it."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from math import ceil
from string import Formatter
from typing import Final

from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.deployments import SmokeRequest
from holdfast.contracts.endpoints import EndpointSpec
from holdfast.contracts.models import MemoryNeed, ModelKind, ModelVersion, Recipe, ServeOptions, Smoke
from holdfast.contracts.training import Method
from holdfast.contracts.written import MONTH
from holdfast.policy.model_memory import GIB, memory_need
from holdfast.policy.probing import probes_of
from holdfast.policy.smoke import request_of

SPARE_DISK_GB: Final = 40
"""Assumed for the server's image and what it compiles; the model's own files come on top."""
COMMON_CONTEXT: Final = 8192
"""Tokens of context where nothing else is asked for: what many models could take would fill a GPU by itself."""
SLACK: Final = 0.97
"""Cards that are so much smaller than what is asked for are taken (`policy/fitness.py`), so more is asked for."""
BASE_FOLDER: Final = "base"
"""Where an adapter's base stands, beside its own files."""
OF_BASE: Final = "-base"
"""Behind the name of an adapter: its base, at the same server."""
_RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM's `--max-lora-rank` takes
_DEFAULTS: Final = {
    ModelKind.LLM: "vllm",
    ModelKind.SPEECH: "vllm",
    ModelKind.IMAGE: "vllm-omni",
    ModelKind.EMBEDDING: "text-embeddings",
    ModelKind.OTHER: "command",
}


def recipe_for(model: ModelVersion, paths: tuple[str, ...] = ()) -> str:
    """The name of the recipe that serves such a model, by its kind and its files."""
    if model.kind is ModelKind.SPEECH and "model.bin" in paths:
        return "speaches"  # CTranslate2's format, which vLLM does not load
    return _DEFAULTS[model.kind]


def endpoint_spec(model: ModelVersion, recipe: Recipe, options: ServeOptions) -> EndpointSpec:
    """An endpoint whose replicas begin with the model's files in their workspace.

    Raises:
        NotKnown: what memory the model needs is not known, and nobody stated it.
        ValueError: the recipe does not serve such models, or lacks an image or a command, or divides none so.
    """
    _refuse_what_does_not_fit(model, recipe, options)
    need = memory_need(
        model.needs,
        kind=model.kind,
        context=_context(model, options),
        sequences=options.sequences,
        gpus=options.gpus,
        share=recipe.memory_share,
    )
    given = _given(model, recipe, options)
    name = options.endpoint or model.name
    return EndpointSpec.model_validate(
        {
            "name": name,
            "models": tuple(dict.fromkeys((given["served"], given["whole"], *options.models))),
            "service": {"port": options.port or recipe.port, "health": options.health or recipe.health},
            "scale": {
                "minimum": options.minimum,
                "maximum": options.maximum,
                "in_flight": options.sequences,
            },
            "workload": {
                "image": options.image or recipe.image,
                "command": _command(recipe, options, given),
                "setup": _filled(recipe.setup, given) if recipe.setup else None,
                "environment": {
                    key: value.format_map(given)
                    for key, value in recipe.environment.items()
                    if _names(value) <= given.keys()
                },
                "resources": {
                    "gpu": options.gpu,
                    "gpu_count": options.gpus,
                    "gpu_memory_gb": gpu_memory_gb(need, stated=model.needs.stated_bytes is not None),
                    "disk_gb": ceil(_bytes_on_disk(model) / 1e9) + SPARE_DISK_GB,
                    "regions": options.regions,
                },
                "price": {"max_hourly": options.max_hourly},
                # The server writes nothing that a next machine would want: the model's files are all that it needs.
                "checkpoint": {"every": MONTH, "keep": 1},
            },
        }
    )


def smoke_request(
    model: ModelVersion, recipe: Recipe, options: ServeOptions, stated: Smoke | None = None
) -> SmokeRequest:
    """What the server is asked before it gets traffic: as stated, or by the recipe, or its health check again.

    Raises:
        ValueError: it names what is not given.
    """
    smoke = stated or recipe.smoke.get(model.kind) or Smoke(method="GET", path=options.health or recipe.health)
    given = _given(model, recipe, options)
    comparison = None
    if recipe.compares:
        base = given["whole"] if "rank" in given else ""
        comparison = probes_of(model, served=given["served"], base=base)
    return replace(request_of(smoke, given), comparison=comparison)


def adapter_rank(model: ModelVersion) -> int | None:
    """Of an adapter whose base stands beside it, in the folder `base`; None: it is a whole model, or a lone adapter."""
    if model.lineage is None or model.kind is not ModelKind.LLM:
        return None
    learned = model.lineage.parameters
    return None if learned.merge or learned.method is Method.FULL else learned.lora.rank


def first_checkpoint(model: ModelVersion, replica: str) -> CheckpointRef:
    """Checkpoint zero of a replica: the model's files, which are in the store already.

    From the opening of the replica's record on they stay there for it, also when the model is removed.
    """
    return CheckpointRef(
        workload=replica,
        epoch=0,
        sequence=0,
        manifest=model.manifest,
        reason=SaveReason.WORKDIR,
        taken_at=model.registered_at,
        committed_at=model.registered_at,
        files=model.files,
        bytes_total=model.bytes_total,
        bytes_uploaded=0,
        duration=timedelta(),
    )


def gpu_memory_gb(need: MemoryNeed, *, stated: bool) -> float:
    """What is asked of each GPU, in the GB of offers, which are GiB; a person's figure is taken at its word."""
    return ceil(need.per_gpu / GIB / (1 if stated else SLACK) * 10) / 10


def _given(model: ModelVersion, recipe: Recipe, options: ServeOptions) -> dict[str, str]:
    """Everything that a recipe may name; what is not given stands under no name."""
    given = {
        "name": model.name,
        "version": str(model.version),
        "revision": model.digest[:40],
        "served": recipe.serves.format(name=model.name),
        "gpus": str(options.gpus),
        "sequences": str(options.sequences),
        "share": f"{recipe.memory_share:g}",
    }
    rank = adapter_rank(model)
    given["folder"] = "." if rank is None else BASE_FOLDER
    given["whole"] = given["served"] if rank is None else f"{given['served']}{OF_BASE}"
    if rank is not None:
        given["rank"] = str(next((each for each in _RANKS if each >= rank), rank))
    if port := options.port or recipe.port:
        given["port"] = str(port)
    if (context := _context(model, options)) is not None:
        given["context"] = str(context)
    return given


def _bytes_on_disk(model: ModelVersion) -> int:
    """An adapter's own files do not count those of its base."""
    base = 0 if adapter_rank(model) is None else model.needs.weights_bytes or 0
    return model.bytes_total + base


def _context(model: ModelVersion, options: ServeOptions) -> int | None:
    if options.context is not None or model.kind is not ModelKind.LLM:
        return options.context
    return min(COMMON_CONTEXT, model.needs.context or COMMON_CONTEXT)


def _command(recipe: Recipe, options: ServeOptions, given: Mapping[str, str]) -> str:
    if options.command:
        return options.command
    groups = [words for words in recipe.command if all(_names(word) <= given.keys() for word in words)]
    words = [word.format_map(given) for group in groups for word in group]
    return "exec " + shlex.join([*words, *options.arguments])


def _filled(text: str, given: Mapping[str, str]) -> str:
    return text.format_map({name: shlex.quote(value) for name, value in given.items()})


def _names(word: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(word) if name is not None}


def _refuse_what_does_not_fit(model: ModelVersion, recipe: Recipe, options: ServeOptions) -> None:
    if model.kind not in recipe.kinds:
        raise ValueError(f"the recipe {recipe.name} serves {', '.join(recipe.kinds)}, and {model.name} is {model.kind}")
    if options.gpus > recipe.most_gpus:
        raise ValueError(f"the recipe {recipe.name} spreads a model over {recipe.most_gpus} GPUs at most")
    if not (options.image or recipe.image) or not (options.command or recipe.command):
        raise ValueError(f"the recipe {recipe.name} needs an image and a command")
    if options.context and model.needs.context and options.context > model.needs.context:
        raise ValueError(f"{model.name} was made for {model.needs.context} tokens of context at most")
