"""What is known of a fine-tuning before anything is rented: the data set, the parameters, the GPU memory.

No server is asked, and nothing is spent.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from holdfast.client.errors import DatasetInvalid, ModelInvalid, TooLarge, TuningInvalid
from holdfast.contracts.training import DataFormat, DatasetReport, HyperParameters, Template, TrainingMemory
from holdfast.policy.model_shapes import NotKnown
from holdfast.policy.training_memory import NothingFits, training_memory
from holdfast.settings import Settings
from holdfast.training import datasets
from holdfast.training.cookbook import templates

if TYPE_CHECKING:
    from holdfast.models.sources import Source

CONFIG = "config.json"
_LARGEST_CONFIG = 16 * 1024 * 1024  # bytes
_OF_A_GATED = (
    "no token is shown here: `holdfast finetune submit` has the host workers ask with theirs, and estimates as well; "
    "or give its config.json with --base"
)
Told = Callable[[int, int], None]


def template(name: str) -> Template:
    """One of those that come with the package. Raises TuningInvalid."""
    known = templates()
    if name not in known:
        raise TuningInvalid(f"there is no template {name[:60]!r}; there are {', '.join(known)}")
    return known[name]


def parameters(chosen: Template, changes: Sequence[str] = ()) -> HyperParameters:
    """A template's, with changes such as `rate=1e-4` or `lora.rank=8`.

    Raises:
        TuningInvalid: a change names nothing, or what it says cannot be.
    """
    values = chosen.parameters.model_dump(mode="json", exclude_unset=True)
    for each in changes:
        name, equals, written = each.partition("=")
        if not equals or not name.strip():
            raise TuningInvalid(f"{each[:100]!r} is no change; write it like rate=1e-4 or lora.rank=8")
        _set(values, name.strip().split("."), _value(written), each)
    try:
        return HyperParameters.model_validate(values)
    except ValidationError as err:
        raise TuningInvalid("\n".join(_mistake(each) for each in err.errors(include_url=False))) from None


async def look_at(
    path: Path, *, form: DataFormat | None = None, told: Told = lambda _done, _all: None
) -> DatasetReport:
    """Read all of a data set, and say what it holds. Raises DatasetInvalid only where it cannot be read at all."""
    try:
        return await asyncio.to_thread(datasets.inspect, path, form=form, told=told)
    except datasets.DatasetUnreadable as err:
        raise DatasetInvalid(str(err)) from err


def require_fit(report: DatasetReport, chosen: Template) -> None:
    """Raises DatasetInvalid if the data set is none for this template."""
    if not report.usable:
        first = next(each for each in report.remarks if each.refuses)
        where = f"line {first.line} " if first.line else ""
        raise DatasetInvalid(f"{report.path} has {report.refusals} mistakes; the first: {where}{first.text}")
    if report.format not in chosen.formats:
        takes = ", ".join(chosen.formats)
        raise DatasetInvalid(f"{report.path} holds {report.format}, and the template {chosen.name} takes {takes}")


async def estimate(base: str, wanted: HyperParameters, *, gpus: int, settings: Settings) -> TrainingMemory:
    """The GPU memory that a training takes. `base` is a folder, a config.json, or hf:org/name[@revision].

    No token is shown for it: of a gated base `FineTunings.submit` estimates, whose workers have one.

    Raises:
        ModelInvalid: the base has no config, or its shapes are not known.
        TuningInvalid: the parameters do not go with the base.
        TooLarge: no card that is for rent holds it.
    """
    return estimated(base, await config_of(base, settings), wanted, gpus=gpus)


def estimated(base: str, config: Mapping[str, Any], wanted: HyperParameters, *, gpus: int) -> TrainingMemory:
    """The same from the base's config. Raises as `estimate`."""
    try:
        return training_memory(config, wanted, gpus=gpus)
    except NotKnown as err:
        raise ModelInvalid(f"what {base} needs is not known: {err}", remedy="state it: --gpu-memory-gb") from None
    except ValueError as err:
        raise TuningInvalid(str(err)) from None
    except NothingFits as err:
        raise TooLarge(str(err)) from None


async def config_of(base: str, settings: Settings) -> Mapping[str, Any]:
    """The base model's `config.json`. Raises ModelInvalid."""
    from holdfast.models.errors import SourceError, SourceRefused  # noqa: PLC0415 (a store's client comes with it)
    from holdfast.models.sources import is_remote  # noqa: PLC0415 (as above)

    try:
        data = await _fetched(base, settings) if is_remote(base) else await asyncio.to_thread(_read, Path(base))
    except SourceError as err:
        gated = isinstance(err, SourceRefused) and err.remedy
        raise ModelInvalid(f"{base}: {err}", remedy=_OF_A_GATED if gated else None) from err
    except (OSError, ValueError) as err:
        raise ModelInvalid(f"{base} has no {CONFIG} that can be read: {err}") from None
    return read_config(base, data)


def read_config(base: str, data: str | bytes) -> Mapping[str, Any]:
    """Raises ModelInvalid."""
    try:
        found = json.loads(data)
    except ValueError as err:
        raise ModelInvalid(f"{base} has no {CONFIG} that can be read: {err}") from None
    if not isinstance(found, dict):
        raise ModelInvalid(f"the {CONFIG} of {base} is none")
    return found


def _read(base: Path) -> bytes:
    path = base / CONFIG if base.is_dir() else base
    if path.stat().st_size > _LARGEST_CONFIG:
        raise ValueError("it is too large for one")
    return path.read_bytes()


async def _fetched(base: str, settings: Settings) -> bytes:
    async with _opened(base, settings) as source:
        plan = await source.plan()
        there = [each for each in plan.files if each.path == CONFIG]
        if not there or there[0].size > _LARGEST_CONFIG:
            raise ValueError("there is none")
        return b"".join([piece async for piece in source.read(plan, there[0], 0)])


def _opened(base: str, settings: Settings) -> "AbstractAsyncContextManager[Source]":
    from holdfast.models.opening import open_source  # noqa: PLC0415 (loads clients of stores and hubs)
    from holdfast.models.sources import closing  # noqa: PLC0415 (as above)

    return closing(open_source(base, settings, None))


def _value(written: str) -> Any:
    try:
        value = yaml.safe_load(written)
    except yaml.YAMLError:
        raise TuningInvalid(f'{written[:100]!r} is no value; quote texts, as in samples.prompts=["who?"]') from None
    if isinstance(value, str):  # YAML takes 1e-4, without a point, for a text
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _set(values: dict[str, Any], path: list[str], value: Any, change: str) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise TuningInvalid(f"{change[:100]!r}: {part} has no parts")
    values[path[-1]] = value


def _mistake(found: Mapping[str, Any]) -> str:
    where = ".".join(map(str, found["loc"])) or "parameters"
    words = {"extra_forbidden": "is no parameter; `holdfast finetune templates --json` shows all"}
    return f"{where}: {words.get(found['type']) or found['msg'].removeprefix('Value error, ')}"
