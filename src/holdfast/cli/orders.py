"""Give a workload an order, wait until it took effect if asked to, and show the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli import console, words
from holdfast.cli.session import only_watching, with_holdfast
from holdfast.contracts.workload import Ack, Phase, WorkloadStatus

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast

Order = Callable[["Holdfast"], Awaitable[Ack]]
Reached = Callable[[WorkloadStatus, WorkloadStatus], bool]  # (before the order, now)


def carry_out(
    name: str,
    order: Order,
    *,
    doing: str,
    reached: Reached,
    given_up: Callable[[WorkloadStatus], bool] = lambda _: False,
    wait: bool,
    as_json: bool,
    data_dir: Path | None,
) -> int:
    """Exit code 0 if the order took effect, or was taken up when nobody waits; 1 if it was given up or the end came."""

    async def work(holdfast: Holdfast) -> tuple[Ack, bool]:
        before = (await holdfast.status(name)).status
        with console.working(f"{doing} {name}"), only_watching(name, doing):
            ack = await order(holdfast)
            if not wait:
                return ack, True
            now = await holdfast.settled(name, lambda told: reached(before, told) or given_up(told))
        return Ack(phase=now.phase, detail=_detail(now)), reached(before, now)

    ack, done = with_holdfast(data_dir, work)
    if as_json:
        console.print_json(ack)
    else:
        console.say(f"{name}: {ack.phase.value}" + (f", {ack.detail}" if ack.detail else ""))
    return 0 if done else 1


def _detail(now: WorkloadStatus) -> str:
    where = f"epoch {now.epoch}" if now.lease is not None and now.phase is Phase.RUNNING else ""
    return ": ".join(part for part in (where, words.without_raw_words(now.reason)) if part)
