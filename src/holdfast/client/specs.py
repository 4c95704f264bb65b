"""Read a workload's spec from YAML, and name every mistake in it by line and column."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import MappingNode, Node, SequenceNode

from holdfast.client.errors import SpecInvalid, SpecProblem
from holdfast.contracts.endpoints import ENDPOINT_PATTERN, EndpointSpec
from holdfast.contracts.jobs import FAIRNESS_PATTERN, JOB_PATTERN, SHA256_PATTERN, JobSpec
from holdfast.contracts.pools import PoolSpec
from holdfast.contracts.spec import NAME_PATTERN, SECRET_PATTERN, WorkloadSpec

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]
_PLAIN = {  # pydantic's kinds of mistakes, in words for somebody who writes YAML and no Python
    "missing": "is required",
    "extra_forbidden": "is not a field of a spec; check its spelling",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_type": "should be text",
    "model_type": "should be a mapping of fields",
    "time_delta_type": "should be a time such as 90s, 15m or 2h",
    "time_delta_parsing": "should be a time such as 90s, 15m or 2h",
    "timezone_aware": "should say its time zone, such as 2026-12-01T08:00:00+01:00",
    "decimal_parsing": "should be a number, such as 0.45",
    "decimal_type": "should be a number, such as 0.45",
}
_PAGES: dict[type[BaseModel], str] = {
    WorkloadSpec: "docs/spec.md",
    PoolSpec: "docs/warm-pools.md",
    EndpointSpec: "docs/endpoints.md",
    JobSpec: "docs/jobs.md",
}
_PATTERNS = {
    ENDPOINT_PATTERN: "use lower-case letters, digits and dashes, 42 at most, none of them a dash at either end",
    NAME_PATTERN: "use lower-case letters, digits and dashes, 48 at most, none of them a dash at either end",
    JOB_PATTERN: "use lower-case letters, digits and dashes, 44 at most, none of them a dash at either end",
    FAIRNESS_PATTERN: "use letters, digits and signs, without blanks",
    SHA256_PATTERN: "a SHA-256 has 64 digits, 0 to 9 and a to f",
    SECRET_PATTERN: "a secret's name has letters, digits and underscores, 64 at most, no digit first",
}


def read_spec(text: str, *, source: str = "spec") -> WorkloadSpec:
    """Parse and check a spec. `source` is what the mistakes are reported against, such as the file's name.

    Raises:
        SpecInvalid: with all mistakes found, in the order of their lines.
    """
    return _read(WorkloadSpec, text, source)


def read_pool_spec(text: str, *, source: str = "pool") -> PoolSpec:
    """The same for a warm pool."""
    return _read(PoolSpec, text, source)


def read_endpoint_spec(text: str, *, source: str = "endpoint") -> EndpointSpec:
    """The same for an endpoint."""
    return _read(EndpointSpec, text, source)


def read_job_spec(text: str, *, source: str = "job") -> JobSpec:
    """The same for a job."""
    return _read(JobSpec, text, source)


def _read(model: type[Model], text: str, source: str) -> Model:
    try:
        return _checked(model, text, source)
    except SpecInvalid as err:
        err.remedy = f"correct the spec; {_PAGES[model]} describes every field"
        raise


def _checked(model: type[Model], text: str, source: str) -> Model:
    root, values = _parse(text, source)
    repeated = tuple(_repeated_keys(root))
    try:
        spec = model.model_validate(values)
    except ValidationError as err:
        found = tuple(
            _problem(root, each["loc"], each["type"], each["msg"])
            for each in err.errors(include_url=False, include_input=False, include_context=False)
        )
        raise SpecInvalid(source, _in_order(repeated + found)) from None
    if repeated:
        raise SpecInvalid(source, _in_order(repeated))
    return spec


def _parse(text: str, source: str) -> tuple[MappingNode, Any]:
    """The document twice: as nodes, which know their lines, and as values."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise SpecInvalid(source, (_at(line, column, "YAML", str(err.problem or err.context)),)) from None
    except yaml.reader.ReaderError as err:
        before = text[: err.position]
        line, column = before.count("\n") + 1, err.position - before.rfind("\n")
        what = f"the character U+{ord(text[err.position]):04X} is not allowed"
        raise SpecInvalid(source, (_at(line, column, "YAML", what),)) from None
    except (yaml.YAMLError, ValueError) as err:  # ValueError: what looks like a date and is none
        raise SpecInvalid(source, (_at(1, 1, "YAML", str(err)),)) from None
    if not isinstance(root, MappingNode):
        raise SpecInvalid(source, (_at(1, 1, "spec", "must be a mapping of fields, such as name: train"),))
    return root, values


def _repeated_keys(root: Node) -> Iterator[SpecProblem]:
    """YAML lets the last of two equal keys win, silently; in something that costs money that is a mistake."""
    waiting: list[tuple[Node, Location]] = [(root, ())]
    visited: set[int] = set()  # an alias may stand anywhere, also inside of what it names
    while waiting:
        node, path = waiting.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, SequenceNode):
            waiting += [(child, (*path, index)) for index, child in enumerate(node.value)]
        elif isinstance(node, MappingNode):
            seen: set[str] = set()
            for key, child in node.value:
                here = (*path, str(key.value))
                if key.value in seen:
                    yield _at(key.start_mark.line + 1, key.start_mark.column + 1, _dotted(here), "is given twice")
                seen.add(key.value)
                waiting.append((child, here))


def _problem(root: MappingNode, location: Location, kind: str, message: str) -> SpecProblem:
    node, reached = _locate(root, location)
    words = _plain(kind, message)
    path = location if kind in ("missing", "extra_forbidden") else reached
    return _at(node.start_mark.line + 1, node.start_mark.column + 1, _dotted(path), words)


def _plain(kind: str, message: str) -> str:
    if kind == "string_pattern_mismatch":
        return next((words for pattern, words in _PATTERNS.items() if pattern in message), message)
    return _PLAIN.get(kind) or _without_python(message.removeprefix("Value error, "))


def _without_python(message: str) -> str:
    """Pydantic's own words about a limit, without those on how it was found."""
    told = re.sub(r"^(Input|String|Dictionary|Tuple|Decimal input|Value) should", "should", message)
    told = re.sub(r" after validation, not .*$", "", told)
    told = re.sub(r"datetime\.timedelta\(([^)]*)\)", lambda found: _span(found[1]), told)
    return told.replace("less than or equal to", "at most").replace("greater than or equal to", "at least")


def _span(arguments: str) -> str:
    """A time as the YAML would say it, from the way that Python writes one."""
    parts = {unit: int(number) for unit, number in re.findall(r"(days|seconds)=(\d+)", arguments)}
    seconds = parts.get("days", 0) * 86_400 + parts.get("seconds", 0)
    size, unit = next(
        (size, unit) for size, unit in ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")) if not seconds % size
    )
    return f"{seconds // size}{unit}"


def _locate(root: MappingNode, location: Location) -> tuple[Node, Location]:
    """The node nearest to a location, and how much of the location it is.

    Pydantic's locations end in the names of union members and validators, which no file holds.
    """
    node: Node = root
    spot: Node = root
    reached: list[str | int] = []
    for part in location:
        step = _child(node, part)
        if step is None:
            break
        spot, node = step
        reached.append(part)
    return spot, tuple(reached)


def _child(node: Node, part: str | int) -> tuple[Node, Node] | None:
    """Where `part` of a collection is written (its key, if it has one), and its value."""
    if isinstance(node, MappingNode):
        for key, value in reversed(node.value):
            if str(key.value) == str(part):
                return key, value
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _at(line: int, column: int, path: str, message: str) -> SpecProblem:
    return SpecProblem(path=path, message=message, line=line, column=column)


def _dotted(path: Location) -> str:
    return ".".join(str(part) for part in path) or "spec"


def _in_order(problems: tuple[SpecProblem, ...]) -> tuple[SpecProblem, ...]:
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda each: (each.line, each.column)))
