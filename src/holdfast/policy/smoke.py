"""What a new endpoint is asked before it gets traffic, and what counts as an answer."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from holdfast.contracts.deployments import SmokeRequest, SmokeVerdict
from holdfast.contracts.models import Smoke

_SHOWN = 200  # characters of an answer that is no good, for people


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int | None  # None: nothing that could be called an answer
    body: bytes = b""
    trouble: str = ""  # why it is not whole
    took: timedelta = timedelta()


def request_of(smoke: Smoke, given: Mapping[str, str]) -> SmokeRequest:
    """The recipe's smoke test, with its names replaced. Raises ValueError: it names what is not given."""
    try:
        body = _filled(smoke.json, given)
        return SmokeRequest(
            method=smoke.method,
            path=smoke.path.format_map(given),
            body="" if body is None else json.dumps(body),
            form={key: value.format_map(given) for key, value in smoke.form.items()},
            sound_seconds=smoke.sound_seconds,
            answer=tuple(smoke.answer.split(".")) if smoke.answer else (),
            may_be_empty=smoke.may_be_empty,
            contains=smoke.contains.format_map(given),
            within=timedelta(seconds=smoke.within_seconds),
        )
    except KeyError as err:
        raise ValueError(f"the smoke test names {err}, which is not given") from None


def judged(request: SmokeRequest, answer: Answer) -> SmokeVerdict:
    """Whether that is what a caller could use. Of the answer itself only the beginning of a refusal is told."""
    asked = f"{request.method} {request.path}"
    why = _fault(request, answer)
    if why:
        return SmokeVerdict(passed=False, said=f"{asked}: {why}"[: 2 * _SHOWN], took=answer.took)
    said = f"{asked} was answered with {answer.status}, {len(answer.body)} bytes"
    return SmokeVerdict(passed=True, said=said, took=answer.took)


def _fault(request: SmokeRequest, answer: Answer) -> str:
    if answer.status is None:
        return answer.trouble or "no answer"
    if not 200 <= answer.status < 300:
        return f"it answered {answer.status}: {_beginning(answer.body)}"
    if answer.trouble:
        return answer.trouble
    if request.contains and request.contains.encode() not in answer.body:
        return f"the answer does not contain {request.contains!r}"
    if request.answer:
        return _fault_in_document(request, answer.body)
    return ""


def _fault_in_document(request: SmokeRequest, body: bytes) -> str:
    place = ".".join(request.answer)
    try:
        found: Any = json.loads(body)
    except ValueError:
        return "the answer is not JSON"
    try:
        for part in request.answer:
            found = found[int(part)] if isinstance(found, list) else found[part]
    except (KeyError, IndexError, TypeError, ValueError):
        return f"the answer has no {place}"
    if request.may_be_empty:
        return "" if isinstance(found, str) else f"{place} of the answer is no text"
    return "" if _is_something(found) else f"{place} of the answer is empty"


def _is_something(found: Any) -> bool:
    """A text with more than blanks, numbers that are finite and not all zero, true, or what contains such."""
    match found:
        case bool():
            return found
        case str():
            return bool(found.strip())
        case int() | float():
            return math.isfinite(found) and found != 0
        case list():
            broken = any(isinstance(each, float) and not math.isfinite(each) for each in found)
            return not broken and any(_is_something(each) for each in found)
        case dict():
            return any(_is_something(each) for each in found.values())
    return False


def _beginning(body: bytes) -> str:
    return " ".join(body[: 4 * _SHOWN].decode("utf-8", "replace").split())[:_SHOWN] or "nothing more"


def _filled(document: Any, given: Mapping[str, str]) -> Any:
    match document:
        case str():
            return document.format_map(given)
        case list() | tuple():
            return [_filled(each, given) for each in document]
        case dict():
            return {key: _filled(value, given) for key, value in document.items()}
    return document
