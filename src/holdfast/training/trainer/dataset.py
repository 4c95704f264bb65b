"""A data set in JSON lines: what is in it, and every line that cannot be trained on.

The standard library only: the same check is made before anything is rented and again on the machine. Nothing is
repaired, replaced or left out: a line that is wrong is named.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

MESSAGES, COMPLETION, TEXT, PREFERENCE = "messages", "completion", "text", "preference"
FORMATS = (MESSAGES, COMPLETION, TEXT, PREFERENCE)
ROLES = ("system", "user", "assistant", "tool")
_LONGEST_LINE = 16 * 1024 * 1024  # bytes: what is longer is no example but a mistake
_MARK = b"\xef\xbb\xbf"
_KNOWN = {
    MESSAGES: {"messages"},
    COMPLETION: {"prompt", "completion"},
    TEXT: {"text"},
    PREFERENCE: {"prompt", "chosen", "rejected"},
}


@dataclass(frozen=True)
class Remark:
    """Something about one line (from 1), or about the whole file (0)."""

    line: int
    text: str
    refuses: bool  # nothing can be trained on it; else it is only told


@dataclass
class Found:
    """What a data set holds."""

    format: str = ""
    sha256: str = ""
    size: int = 0  # bytes
    lengths: list[int] = field(default_factory=list)  # characters of each good example
    duplicates: int = 0  # examples that were there before, in an earlier line
    other_keys: dict[str, int] = field(default_factory=dict)  # which no training uses, and how often
    remarks: list[Remark] = field(default_factory=list)  # the first of them
    refusals: int = 0  # all of them
    warnings: int = 0
    sample: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        return not self.refusals and bool(self.lengths)


class _Wrong(Exception):
    """Why a line cannot be used."""


def check(source: IO[bytes], *, wanted: str = "", most_remarks: int = 50, samples: int = 3) -> Found:
    """Read a whole data set. `wanted` is its format; left out, the first good line says it."""
    found = Found(format=wanted)
    digest = hashlib.sha256()
    told = _Teller(found, most_remarks)
    seen: dict[bytes, int] = {}
    for number, line in _lines(source, digest, found):
        try:
            example = _example(line, number)
            found.format = found.format or _format_of(example)
            texts = _checked(example, found.format)
        except _Wrong as why:
            told.refuse(number, str(why))
            continue
        _take(found, told, seen, number=number, example=example, texts=texts)
        if len(found.sample) < samples:
            found.sample.append(example)
    found.sha256 = digest.hexdigest()
    if not found.lengths and not found.refusals:
        told.refuse(0, "the file holds no example")
    return found


def examples(source: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every example with its line, of a file that was checked."""
    for number, line in enumerate(source, start=1):
        if line.strip():
            yield number, json.loads(line)


def messages_of(value: str | list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    """A prompt or an answer as messages, also where it is written as plain text."""
    return [{"role": role, "content": value}] if isinstance(value, str) else value


class _Teller:
    """Keeps the first remarks, and counts all."""

    def __init__(self, found: Found, most: int) -> None:
        self._found, self._most = found, most

    def refuse(self, line: int, text: str) -> None:
        self._found.refusals += 1
        self._keep(Remark(line, text, True))

    def warn(self, line: int, text: str) -> None:
        self._found.warnings += 1
        self._keep(Remark(line, text, False))

    def _keep(self, remark: Remark) -> None:
        same_kind = sum(each.refuses == remark.refuses for each in self._found.remarks)
        if same_kind < self._most:
            self._found.remarks.append(remark)


def _lines(source: IO[bytes], digest: Any, found: Found) -> Iterator[tuple[int, bytes]]:
    """Every line that holds anything, with its number; what lies after the last newline is a line as well."""
    number = 0
    while line := source.readline(_LONGEST_LINE + 1):
        number += 1
        digest.update(line)
        found.size += len(line)
        whole = line
        while len(line) > _LONGEST_LINE and not line.endswith(b"\n"):  # the rest of it, only to be hashed
            line = source.readline(_LONGEST_LINE + 1)
            digest.update(line)
            found.size += len(line)
            if not line:
                break
        yield number, whole


def _example(line: bytes, number: int) -> dict[str, Any]:
    if number == 1 and line.startswith(_MARK):
        raise _Wrong("begins with a byte order mark; save the file as UTF-8 without one")
    if len(line) > _LONGEST_LINE:
        raise _Wrong(f"is longer than {_LONGEST_LINE // 1024**2} MiB")
    if not line.strip():
        raise _Wrong("is empty")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as err:
        raise _Wrong(f"is no UTF-8: byte 0x{line[err.start]:02x} at column {err.start + 1}") from None
    try:
        example = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise _Wrong("is nested too deeply") from None
    except json.JSONDecodeError as err:
        raise _Wrong(f"is no JSON: {err.msg} at column {err.colno}") from None
    if not isinstance(example, dict):
        raise _Wrong("holds no JSON object")
    return example


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Wrong("has a key twice in one object")
    return made


def _no_constant(word: str) -> Any:
    raise _Wrong(f"is no JSON: {word}")


def _format_of(example: Mapping[str, Any]) -> str:
    for name in (MESSAGES, PREFERENCE, COMPLETION, TEXT):
        if _KNOWN[name] <= example.keys():
            return name
    raise _Wrong(f"has none of the known forms; it has {_named(example) or 'no keys'}; known are {_forms()}")


def _forms() -> str:
    return ", ".join("+".join(sorted(_KNOWN[each])) for each in FORMATS)


def _checked(example: Mapping[str, Any], form: str) -> list[str]:
    """Its texts, once they are found to be some."""
    if missing := sorted(_KNOWN[form] - example.keys()):
        raise _Wrong(f"has no {', '.join(missing)}, which the format {form} needs; it has {_named(example)}")
    return _CHECKS[form](example)


def _conversation(example: Mapping[str, Any]) -> list[str]:
    texts = _messages(example["messages"], "messages")
    if example["messages"][-1]["role"] != "assistant":
        raise _Wrong("the last message is not the assistant's: there is nothing to learn after it")
    return texts


def _completion(example: Mapping[str, Any]) -> list[str]:
    return [_text(example, "prompt", may_be_empty=True), _text(example, "completion")]


def _plain(example: Mapping[str, Any]) -> list[str]:
    return [_text(example, "text")]


def _preference(example: Mapping[str, Any]) -> list[str]:
    names = ("prompt", "chosen", "rejected")
    if all(isinstance(example[name], str) for name in names):
        texts = [_text(example, name) for name in names]
    elif all(isinstance(example[name], list) for name in names):
        texts = [text for name in names for text in _messages(example[name], name)]
    else:
        raise _Wrong("prompt, chosen and rejected must be three texts, or three lists of messages")
    if example["chosen"] == example["rejected"]:
        raise _Wrong("chosen and rejected are the same")
    return texts


_CHECKS: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    MESSAGES: _conversation,
    COMPLETION: _completion,
    TEXT: _plain,
    PREFERENCE: _preference,
}


def _messages(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise _Wrong(f"{name} must be a list with a message or more")
    texts = []
    for place, message in enumerate(value, start=1):
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise _Wrong(f"message {place} of {name} has no role and content")
        if message["role"] not in ROLES:
            raise _Wrong(
                f"message {place} of {name} has the role {str(message['role'])[:40]!r}; known: {_named(ROLES)}"
            )
        texts.append(_text(message, "content", where=f" of message {place} of {name}"))
    return texts


def _text(holder: Mapping[str, Any], name: str, *, where: str = "", may_be_empty: bool = False) -> str:
    text = holder[name]
    if not isinstance(text, str):
        raise _Wrong(f"{name}{where} is no text")
    if not text.strip() and not may_be_empty:
        raise _Wrong(f"{name}{where} is empty")
    if any("\ud800" <= each <= "\udfff" for each in text):
        raise _Wrong(f"{name}{where} holds half of a character, which no tokenizer takes")
    return text


def _take(
    found: Found, told: _Teller, seen: dict[bytes, int], *, number: int, example: Mapping[str, Any], texts: list[str]
) -> None:
    found.lengths.append(sum(map(len, texts)))
    for key in example.keys() - _KNOWN[found.format]:
        found.other_keys[key] = found.other_keys.get(key, 0) + 1
    kept = {key: example[key] for key in sorted(_KNOWN[found.format])}
    mark = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).digest()[:16]
    if (first := seen.setdefault(mark, number)) != number:
        found.duplicates += 1
        told.warn(number, f"says the same as line {first}")
    if any("\ufffd" in text for text in texts):
        told.warn(number, "holds U+FFFD: some character was lost before the text came here")
    if any("\0" in text for text in texts):
        told.warn(number, "holds a NUL character")


def _named(names: Iterable[str]) -> str:
    return ", ".join(islice((str(each)[:40] for each in names), 10))
