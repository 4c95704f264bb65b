"""Examples as tokens: what the model reads, and which of it is learned.

Learned are the assistant's turns, the completions, the whole of plain texts, and both answers of a preference. An
example that is longer than the model is trained on is refused, left out or cut only as the order says, and counted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import dataset
from .failures import DATA_UNUSABLE, TrainerFailure
from .order import Order

IGNORED = -100  # the label of a token that is read and not learned
_NAMED = 10  # lines that an error names


@dataclass(frozen=True)
class Sequence:
    """Tokens, and what is learned at each of them."""

    ids: list[int]
    labels: list[int]

    @property
    def learned(self) -> int:
        """Tokens that count: the first is never predicted."""
        return sum(each != IGNORED for each in self.labels[1:])


@dataclass(frozen=True)
class Example:
    """One sequence, or of a preference the chosen and the rejected one."""

    line: int
    sequences: tuple[Sequence, ...]


@dataclass
class Prepared:
    """The data set as it is trained on, with what became of long examples."""

    examples: list[Example] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)  # lines
    cut: list[int] = field(default_factory=list)


def prepare(order: Order, tokenizer: Any) -> Prepared:
    """Check the data set against the order, and make tokens of it.

    Raises:
        TrainerFailure: it is not the one that was ordered, a line is wrong, or an example is too long.
    """
    path = Path(order.data)
    _require_as_ordered(path, order)
    made, longest, too_long = Prepared(), order.parameters.max_length, order.parameters.too_long
    refused = []
    for example in _tokenised(path, order.data_format, tokenizer):
        if all(len(each.ids) <= longest for each in example.sequences):
            made.examples.append(example)
        elif too_long == "skip":
            made.skipped.append(example.line)
        elif too_long == "cut":
            made.cut.append(example.line)
            made.examples.append(_cut(example, longest))
        else:
            refused.append(example.line)
    if refused:
        raise TrainerFailure(
            DATA_UNUSABLE,
            f"{len(refused)} examples have more than {longest} tokens: lines {_some(refused)}; raise max_length, "
            "shorten them, or order too_long: skip or cut",
        )
    if not made.examples:
        raise TrainerFailure(DATA_UNUSABLE, f"no example has at most {longest} tokens")
    return made


def _require_as_ordered(path: Path, order: Order) -> None:
    try:
        with path.open("rb") as source:
            found = dataset.check(source, wanted=order.data_format)
    except OSError as err:
        raise TrainerFailure(DATA_UNUSABLE, f"the data set cannot be read: {err}") from None
    if found.sha256 != order.data_sha256:
        raise TrainerFailure(
            DATA_UNUSABLE, f"{path} has the SHA-256 {found.sha256}, and {order.data_sha256} was ordered"
        )
    if not found.usable:
        told = "; ".join(f"line {each.line} {each.text}" for each in found.remarks if each.refuses)
        raise TrainerFailure(DATA_UNUSABLE, f"{path}: {told[:2000]}")


def _tokenised(path: Path, form: str, tokenizer: Any) -> Iterator[Example]:
    make = _MAKERS[form]
    with path.open("rb") as source:
        for line, example in dataset.examples(source):
            sequences = make(example, tokenizer, line)
            if not all(each.learned for each in sequences):
                raise TrainerFailure(DATA_UNUSABLE, f"line {line}: nothing in it would be learned")
            yield Example(line, sequences)


def _conversation(example: dict[str, Any], tokenizer: Any, line: int) -> tuple[Sequence, ...]:
    return (_rendered(example["messages"], 0, tokenizer, line),)


def _completion(example: dict[str, Any], tokenizer: Any, _line: int) -> tuple[Sequence, ...]:
    return (_joined(example["prompt"], example["completion"], tokenizer),)


def _plain(example: dict[str, Any], tokenizer: Any, _line: int) -> tuple[Sequence, ...]:
    return (_joined("", example["text"], tokenizer),)


def _preference(example: dict[str, Any], tokenizer: Any, line: int) -> tuple[Sequence, ...]:
    prompt = example["prompt"]
    if isinstance(prompt, str):
        return tuple(_joined(prompt, example[name], tokenizer) for name in ("chosen", "rejected"))
    return tuple(_rendered([*prompt, *example[name]], len(prompt), tokenizer, line) for name in ("chosen", "rejected"))


_MAKERS: dict[str, Callable[[dict[str, Any], Any, int], tuple[Sequence, ...]]] = {
    dataset.MESSAGES: _conversation,
    dataset.COMPLETION: _completion,
    dataset.TEXT: _plain,
    dataset.PREFERENCE: _preference,
}


def _joined(prompt: str, answer: str, tokenizer: Any) -> Sequence:
    """The prompt is read; the answer and its end are learned. Each is tokenised alone, so no token is of both."""
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"] if prompt else []
    after = tokenizer(answer, add_special_tokens=False)["input_ids"]
    begin = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    ids = [*begin, *before, *after, tokenizer.eos_token_id]
    return Sequence(ids, [*[IGNORED] * (len(begin) + len(before)), *ids[len(begin) + len(before) :]])


def _rendered(messages: list[dict[str, Any]], learned_from: int, tokenizer: Any, line: int) -> Sequence:
    """A conversation by the model's own template; what the assistant says from a message on is learned."""
    if not tokenizer.chat_template:
        raise TrainerFailure(
            DATA_UNUSABLE,
            "the base model has no chat template, so conversations cannot be written as it knows them; take one that "
            "was made for chat, or prompts and completions",
        )
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    spans = list(_spans(messages, learned_from, text, tokenizer, line))
    made = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    labels = [
        token if any(begin <= first and last <= end and first < last for begin, end in spans) else IGNORED
        for token, (first, last) in zip(made["input_ids"], made["offset_mapping"], strict=True)
    ]
    return Sequence(list(made["input_ids"]), labels)


def _spans(
    messages: list[dict[str, Any]], learned_from: int, text: str, tokenizer: Any, line: int
) -> Iterator[tuple[int, int]]:
    """Where in the text the assistant speaks, its end marks included."""
    for place, message in enumerate(messages):
        if place < learned_from or message["role"] != "assistant":
            continue
        before = tokenizer.apply_chat_template(messages[:place], tokenize=False, add_generation_prompt=True)
        so_far = tokenizer.apply_chat_template(messages[: place + 1], tokenize=False)
        if not text.startswith(so_far) or not so_far.startswith(before):
            raise TrainerFailure(
                DATA_UNUSABLE,
                f"line {line}: the model's chat template writes earlier turns otherwise once later ones are there, so "
                "what is to be learned cannot be told; give it as prompt and completion",
            )
        yield len(before), len(so_far)


def _cut(example: Example, longest: int) -> Example:
    made = Example(
        example.line, tuple(Sequence(each.ids[:longest], each.labels[:longest]) for each in example.sequences)
    )
    if not all(each.learned for each in made.sequences):
        raise TrainerFailure(
            DATA_UNUSABLE, f"line {example.line}: cut to {longest} tokens, nothing of it would be learned"
        )
    return made


def _some(lines: list[int]) -> str:
    shown = ", ".join(map(str, lines[:_NAMED]))
    return f"{shown} and {len(lines) - _NAMED} more" if len(lines) > _NAMED else shown
