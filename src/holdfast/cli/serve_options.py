"""`--option KEY=VALUE` of `holdfast deploy`: what is asked for seldom, in one place."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from holdfast.cli.errors import UsageProblem
from holdfast.contracts.models import ServeOptions

_NUMBERS: Final = {"context": 1, "sequences": 1, "gpus": 1, "port": 1, "minimum": 0, "maximum": 1}
"""Each with the least that it may be."""
_TEXTS: Final = ("image", "command", "health")
_LISTS: Final = {"model": "models", "argument": "arguments", "region": "regions"}
"""Which may be given several times."""
OPTIONS: Final = (*_NUMBERS, *_TEXTS, *_LISTS)


def options_from(
    pairs: Sequence[str], *, max_hourly: Decimal, endpoint: str = "", gpu: str | None = None
) -> ServeOptions:
    """What they ask for.

    Raises:
        UsageProblem: one of them is not understood.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key not in OPTIONS:
            raise UsageProblem(
                f"{pair[:60]!r} is no option of a model's server",
                remedy=f"give KEY=VALUE; there are: {', '.join(OPTIONS)}",
            )
        if key in _LISTS:
            found.setdefault(_LISTS[key], []).append(value)
        else:
            found[key] = _number(key, value) if key in _NUMBERS else value
    listed: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    return ServeOptions(max_hourly=max_hourly, endpoint=endpoint, gpu=gpu, **listed)


def _number(key: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()) or not _NUMBERS[key] <= int(value) <= 100_000_000:
        raise UsageProblem(
            f"{key}={value[:40]} is no number that it can be", remedy=f"give {key}=N, {_NUMBERS[key]} or more"
        )
    return int(value)
