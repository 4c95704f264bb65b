"""`holdfast down`: end the stack, keep the data."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli import console, words
from holdfast.cli.session import DataDir, settings_for, with_holdfast
from holdfast.client.errors import HoldfastError
from holdfast.workers.stack.commands import down as stop_stack

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast
    from holdfast.client.listing import WorkloadLine

_ASKED_FOR = 5.0  # seconds; a stack that does not answer is to be ended all the same
_NAMED = 6


def down(data_dir: DataDir = None) -> int:
    """End what `holdfast up` started on this data directory. Waits until no process is left; may be repeated.

    Rented machines are not destroyed: workloads go on as soon as workers are back. What goes on billing meanwhile is
    told. `holdfast stop NAME` ends a workload, `holdfast endpoint sleep NAME` lets an endpoint sleep.

    \b
    Example:
      holdfast down
    """
    settings = settings_for(data_dir)
    left = still_billing(data_dir) if settings.embedded_temporal is not None else ()
    code = stop_stack(settings.data_dir, console.say)
    if left and code == 0:
        console.say(_told(left))
    return code


def still_billing(data_dir: Path | None) -> tuple[WorkloadLine, ...]:
    """The workloads whose machines cost money just now, as far as the server tells in time."""

    async def ask(holdfast: Holdfast) -> tuple[WorkloadLine, ...]:
        async with asyncio.timeout(_ASKED_FOR):
            return await holdfast.workloads()

    try:
        return tuple(each for each in with_holdfast(data_dir, ask) if each.hourly)
    except (HoldfastError, TimeoutError):
        return ()


def _told(left: tuple[WorkloadLine, ...]) -> str:
    names = ", ".join(each.name for each in left[:_NAMED]) + (" and others" if len(left) > _NAMED else "")
    hourly = words.rate(sum((each.hourly or Decimal(0) for each in left), start=Decimal(0)))
    verb = "goes" if len(left) == 1 else "go"
    machines = words.count(len(left), "machine")
    return f"{machines} {verb} on billing, {hourly}: {names}; `holdfast up` looks after them again"
