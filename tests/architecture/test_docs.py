"""The documentation is held to the code: links lead somewhere, references are complete, commands exist."""

import dataclasses
import json
import re
import shlex
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any

import click
import pytest
import typer
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.core import TyperGroup

from holdfast.cli.app import cli
from holdfast.client.fine_tuning import SubmittedTuning
from holdfast.client.jobs import JobView, Submitted
from holdfast.client.listing import WorkloadLine
from holdfast.client.models import ModelView
from holdfast.client.specs import read_endpoint_spec, read_job_spec, read_spec
from holdfast.client.status import SaveTrouble, WorkloadView
from holdfast.contracts import activities as acts
from holdfast.contracts.activities import Telemetry
from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary, VerifySummary
from holdfast.contracts.deployments import Compared, DeploymentStatus, Release
from holdfast.contracts.disks import DiskCopy
from holdfast.contracts.endpoints import EndpointSpec, EndpointStatus, Pass, Replica, Route, Wake, WakePhases
from holdfast.contracts.failover import Decision, RankedOffer
from holdfast.contracts.fine_tuning import Answer, FineTuneStatus
from holdfast.contracts.forecasts import ForecastKey, LeadForecast, RecordedForecast, Refits
from holdfast.contracts.incidents import Attempt, Incident, Phases
from holdfast.contracts.jobs import (
    ArrayPlace,
    JobAttempt,
    JobOutputs,
    JobSpec,
    JobStatus,
    Point,
    QueueStatus,
    Series,
    StagedInput,
    Waiting,
)
from holdfast.contracts.machines import Lease, Offer, SelfDestruct, SshAddress
from holdfast.contracts.market import (
    MarketPoint,
    PricedSeries,
    RecordedPrices,
    StartWord,
    SurveyLine,
    SurveyResult,
    Thinned,
)
from holdfast.contracts.memory import MachineHistory, MachineMemory, PlaceRisk, StayLine
from holdfast.contracts.models import CacheLayers, MemoryNeed, ModelFile, ModelNeeds, ModelVersion
from holdfast.contracts.money import Budget, CostGroup, CostLine, Costs, DayCost, Drift, Standing
from holdfast.contracts.pools import ClaimAnswer, Claimed, PoolStatus, Standby
from holdfast.contracts.references import CheckedReference, Reference
from holdfast.contracts.reports import DrillReport, LeaseLine, Recomputed, Spread, StrategyLine, WorkloadReport
from holdfast.contracts.savings import Against, Comparison, Paid, Savings, SavingsLine, Stretch
from holdfast.contracts.spec import WorkloadSpec
from holdfast.contracts.sweeping import Finding, SweepResult
from holdfast.contracts.training import (
    DataPin,
    DatasetRemark,
    DatasetReport,
    HyperParameters,
    Lineage,
    MemoryPart,
    OtherKey,
    TrainingMemory,
)
from holdfast.contracts.workload import Ack, WorkloadStatus
from holdfast.market.backtest import Backtest, BacktestRow
from holdfast.market.forecast import ForecastHour, LeadSkill, PriceForecast
from holdfast.market.histories import PriceHistory, PriceMove
from holdfast.market.importing import Refusal
from holdfast.market.risk import ZoneRisk
from holdfast.market.series import SeriesKey
from holdfast.market.start import StartAdvice, WhenToStart
from holdfast.simcloud.studies.results import Study, StudyRow
from holdfast.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DOCUMENTS = (
    *(
        WorkloadLine,
        WorkloadView,
        SaveTrouble,
        WorkloadStatus,
        DiskCopy,
        Lease,
        SshAddress,
        Telemetry,
        CheckpointRef,
        WorkloadReport,
        Incident,
        Recomputed,
        DrillReport,
        Spread,
        StrategyLine,
        PoolStatus,
        Standby,
        Claimed,
        ClaimAnswer,
    ),
    *(Standing, Budget, Costs, CostLine, DayCost, CostGroup, Drift),
    *(Savings, SavingsLine, Stretch, Against, Comparison, Paid, CheckedReference, Reference),
    *(PriceHistory, MarketPoint, PriceMove, PricedSeries, SurveyResult, SurveyLine, RecordedPrices, Thinned, Refusal),
    *(Phases, Attempt, LeaseLine, Decision, RankedOffer, Offer, VerifySummary, RestoreSummary, Ack),
    *(StartWord, SelfDestruct, SweepResult, Finding, MachineMemory, MachineHistory, StayLine, PlaceRisk, ZoneRisk),
    *(Study, StudyRow),
    *(PriceForecast, ForecastHour, LeadSkill, SeriesKey, WhenToStart, StartAdvice, Backtest, BacktestRow),
    *(RecordedForecast, ForecastKey, LeadForecast, Refits),
    *(DeploymentStatus, Release, Compared),
    *(EndpointStatus, Replica, Route, Pass, Wake, WakePhases),
    *(DatasetReport, DatasetRemark, OtherKey, TrainingMemory, MemoryPart, Lineage, DataPin),
    *(SubmittedTuning, FineTuneStatus, Answer),
    *(
        JobView,
        JobStatus,
        JobAttempt,
        StagedInput,
        JobOutputs,
        ArrayPlace,
        Submitted,
        QueueStatus,
        Waiting,
        Series,
        Point,
    ),
    *(ModelView, ModelVersion, ModelNeeds, CacheLayers, MemoryNeed, ModelFile),
)
EXAMPLES: dict[str, Any] = {
    "ps": list[WorkloadLine],
    "status": WorkloadView,
    "checkpoint ls": list[CheckpointRef],
    "report": WorkloadReport,
    "why": list[Decision],
    "simulate": Study,
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """The targets of all links; what stands in code spans only looks like one."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?<=[ (])`[^`]*`(?=[ ,.:;)])", "", prose(page)))


def rows(text: str) -> Iterator[list[str]]:
    """The rows of all Markdown tables, as cells."""
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip()[1:-1].split("|")]


# --- links -------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The places that a link may name: headings as GitHub spells them, and explicit ids."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    spelled = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return spelled | set(re.findall(r'<a id="([^"]+)"', page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        if re.match(r"https://", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name} links to {target}"


def test_every_page_can_be_found_from_the_index() -> None:
    index = ROOT / "docs/index.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    assert set((ROOT / "docs").rglob("*.md")) - linked == {index}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_is_left_unsaid(page: Path) -> None:
    assert not re.search(r"\b(to-?do|fix-?me|tbd|lorem)\b", page.read_text(), re.IGNORECASE)


# --- commands ----------------------------------------------------------------------------------------------------


def commands(page: Path) -> list[str]:
    """Every line of a shell block that calls `holdfast`."""
    found = []
    for block in re.findall(r"^```(?:sh|console)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            call = re.match(r"(?:\$ )?(?:\.venv/bin/)?holdfast (.*)", line)
            if call:
                found.append(call[1])
    return found


def resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that a line calls, and the rest of the line."""
    command: click.Command = typer.main.get_command(cli)
    while words and isinstance(command, TyperGroup):
        below = command.get_command(click.Context(command), words[0])
        assert below, f"there is no command {words[0]!r}"
        command, words = below, words[1:]
    return command, words


CALLS = [(page.name, call) for page in PAGES if page.name != "cli.md" for call in commands(page)]


@pytest.mark.parametrize(("page", "call"), CALLS, ids=[f"{page}: {call}" for page, call in CALLS])
def test_every_command_shown_exists_with_its_options(page: str, call: str) -> None:
    command, words = resolved(shlex.split(call.partition(" | ")[0], comments=True))
    assert not isinstance(command, TyperGroup), f"{page}: holdfast {call}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, f"{page}: holdfast {call}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`|\$ )make ([a-z-]+)", page.read_text(), re.MULTILINE)) <= targets


# --- the spec ----------------------------------------------------------------------------------------------------


def spec_fields(model: type[BaseModel] = WorkloadSpec, above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        kinds = [each for each in (typing.get_args(field.annotation) or (field.annotation,)) if each is not NoneType]
        if len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], BaseModel):
            yield from spec_fields(kinds[0], f"{above}{name}.")
        else:
            yield above + name, field


def default_of(field: FieldInfo) -> str:
    """A default as the page spells it."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    return "—" if value is None else f"`{spelled(value)}`"


def spelled(value: object) -> str:
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
            if seconds and seconds % size == 0:
                return f"{seconds // size}{unit}"
        return f"{seconds}s"
    if isinstance(value, tuple):
        return f"[{', '.join(str(each) for each in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def constraints(field: FieldInfo) -> Iterator[Any]:
    """Also those inside of `Script | None`."""
    yield from field.metadata
    optional = typing.get_origin(field.annotation) in (typing.Union, types.UnionType)
    for part in typing.get_args(field.annotation) if optional else ():
        for each in getattr(part, "__metadata__", ()):
            yield from each.metadata if isinstance(each, FieldInfo) else ()


def limits_of(field: FieldInfo) -> str | None:
    """Limits as the page spells them; None where there are none."""
    known = ("ge", "gt", "le", "min_length", "max_length")
    limit = {name: getattr(each, name) for each in constraints(field) for name in known if hasattr(each, name)}
    if "gt" in limit:
        return f"more than {spelled(limit['gt'])}, at most {spelled(limit['le'])}"
    if "ge" in limit:
        return f"{spelled(limit['ge'])} to {spelled(limit['le'])}"
    things = "items" if typing.get_origin(field.annotation) in (tuple, dict) else "characters"
    least = f"{limit['min_length']} to " if "min_length" in limit else "at most "
    return f"{least}{limit['max_length']} {things}" if "max_length" in limit else None


def test_the_spec_page_has_every_field_with_its_default_and_limits() -> None:
    table = {cells[0].strip("`"): cells[1:] for cells in rows(text_of("docs/spec.md")) if len(cells) == 4}
    fields = dict(spec_fields())
    assert table.keys() - {"field"} == fields.keys()
    for name, field in fields.items():
        default, limits, _ = table[name]
        assert default == default_of(field), name
        assert limits.startswith(limits_of(field) or limits), name


def test_the_endpoints_page_has_every_field_of_its_own_with_its_default_and_limits() -> None:
    table = {cells[0].strip("`"): cells[1:] for cells in rows(text_of("docs/endpoints.md")) if len(cells) == 4}
    fields = {name: field for name, field in spec_fields(EndpointSpec) if not name.startswith("workload.")}
    assert fields.keys() <= table.keys()
    for name, field in fields.items():
        default, limits, _ = table[name]
        assert default == default_of(field), name
        assert limits.startswith(limits_of(field) or limits), name


def test_the_fine_tuning_page_has_every_parameter_with_its_default() -> None:
    table = {cells[0].strip("`"): cells[1] for cells in rows(text_of("docs/fine-tuning.md")) if len(cells) == 3}
    for name, field in spec_fields(HyperParameters):
        assert table[name] == default_of(field), name


def test_the_jobs_page_has_every_field_of_its_own_with_its_default_and_limits() -> None:
    table = {cells[0].strip("`"): cells[1:] for cells in rows(text_of("docs/jobs.md")) if len(cells) == 4}
    shared = dict(spec_fields())
    fields = {name: field for name, field in spec_fields(JobSpec) if name not in shared} | {
        name: field for name, field in spec_fields(JobSpec) if name in ("name", "command")
    }
    assert table.keys() - {"field"} == fields.keys()
    for name, field in fields.items():
        default, limits, _ = table[name]
        assert default == default_of(field).replace("``", "—"), name
        assert limits.startswith(limits_of(field) or limits), name


def test_the_spec_on_the_jobs_page_is_valid() -> None:
    found = re.search(r"^```yaml\n(.*?)^```$", text_of("docs/jobs.md"), re.MULTILINE | re.DOTALL)
    assert found
    assert read_job_spec(found[1], source="docs/jobs.md").name == "digits"


def test_the_spec_on_the_endpoints_page_is_valid() -> None:
    found = re.search(r"^```yaml\n(.*?)^```$", text_of("docs/endpoints.md"), re.MULTILINE | re.DOTALL)
    assert found
    assert read_endpoint_spec(found[1], source="docs/endpoints.md").name == "chat"


@pytest.mark.parametrize("number", [0, 1])
def test_the_specs_on_the_spec_page_are_valid(number: int) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text_of("docs/spec.md"), re.MULTILINE | re.DOTALL)
    assert read_spec(blocks[number], source="docs/spec.md").name


# --- JSON --------------------------------------------------------------------------------------------------------

WORDS = {int: "integer", float: "number", str: "text", bool: "boolean"}
WORDS_OF_OURS = {datetime: "time", date: "date", timedelta: "seconds", Decimal: "USD"}


def word(kind: Any) -> str:
    """A type as docs/json.md names it."""
    plain = WORDS.get(kind) or WORDS_OF_OURS.get(kind)
    if plain:
        return plain
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "text"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "object"
    if dataclasses.is_dataclass(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"  # type: ignore[union-attr]
    if typing.get_origin(kind) is Mapping:
        return f"object of {word(typing.get_args(kind)[1])}"
    parts = [each for each in typing.get_args(kind) if each not in (type(None), ...)]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return f"{word(parts[0])} or null"
    return f"list of {word(parts[0])}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.__name__)
def test_the_json_page_has_every_field_with_its_type(document: type) -> None:
    section = re.search(
        rf"^### {document.__name__}\n(.*?)(?=^##|\Z)", text_of("docs/json.md"), re.MULTILINE | re.DOTALL
    )
    assert section, document.__name__
    hints = typing.get_type_hints(document)
    shown = [(cells[0].strip("`"), cells[1]) for cells in rows(section[1])][1:]
    assert shown == [(each.name, word(hints[each.name])) for each in dataclasses.fields(document)]


@pytest.mark.parametrize("command", EXAMPLES)
def test_the_json_examples_are_what_the_commands_print(command: str) -> None:
    section = text_of("docs/json.md").partition(f"## `holdfast {command} ")[2]
    found = re.search(r"^```json\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    example = json.loads(found[1])
    TypeAdapter(EXAMPLES[command]).validate_python(example)
    first = example[0] if isinstance(example, list) else example
    kind = typing.get_args(EXAMPLES[command])[0] if isinstance(example, list) else EXAMPLES[command]
    assert list(first) == [each.name for each in dataclasses.fields(kind)]


# --- operations and architecture ---------------------------------------------------------------------------------


def test_every_metric_is_documented() -> None:
    page = text_of("docs/operations.md")
    for family in Metrics(CollectorRegistry()).registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"`{name}`" in page, name


def test_every_alert_is_documented() -> None:
    page = text_of("docs/operations.md")
    for alert in re.findall(r"- alert: (\w+)", text_of("deploy/prometheus/rules.yml")):
        assert f"`{alert}`" in page, alert


def test_every_activity_has_its_place_in_the_architecture() -> None:
    page = text_of("docs/architecture.md")
    names = [name for name, body in vars(acts).items() if hasattr(body, "__temporal_activity_definition")]
    assert names
    for name in names:
        assert f"`{name}`" in page, name
