"""`holdfast checkpoint save|ls|verify|restore|forget`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.session import DataDir, Json, Name, only_watching, settings_for, with_holdfast
from holdfast.client.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast
    from holdfast.client.status import SaveTrouble
    from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary

SILENT_FOR, LOOK_EVERY = timedelta(seconds=5), timedelta(seconds=1)
app = typer.Typer(
    help="Save, list, verify, restore and forget checkpoints.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Sequence = Annotated[int | None, typer.Option("--sequence", "-s", min=0, help="Which one; the newest if left out.")]


@app.command("save")
def save(name: Name, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Save now; answers when the checkpoint is committed.

    What keeps it, such as a store that does not answer, is told on stderr. Ctrl-C ends the waiting, not the
    save.

    \b
    Example:
      holdfast checkpoint save train
    """

    async def order(holdfast: Holdfast) -> CheckpointRef:
        with console.working(f"saving {name}"), only_watching(name, "saving"):
            telling = asyncio.create_task(_tell_trouble(holdfast, name))
            try:
                return await holdfast.save(name)
            finally:
                telling.cancel()

    saved = with_holdfast(data_dir, order)
    if as_json:
        console.print_json(saved)
        return
    console.say(
        f"checkpoint {saved.sequence} of {name}: {words.count(saved.files, 'file')}, "
        f"{words.size(saved.bytes_total)}, {words.size(saved.bytes_uploaded)} sent in {words.duration(saved.duration)}"
    )


@app.command("ls")
def ls(name: Name, as_json: Json = False, data_dir: DataDir = None) -> None:
    """List the committed checkpoints, oldest first.

    \b
    Examples:
      holdfast checkpoint ls train
      holdfast checkpoint ls train --json | jq '.[-1].manifest'
    """
    found = with_holdfast(data_dir, lambda holdfast: holdfast.checkpoints(name))
    if as_json:
        console.print_json(found)
    elif found:
        headers = ("SEQUENCE", "EPOCH", "WHY", "TAKEN", "FILES", "SIZE", "SENT", "TOOK", "PROGRESS", "VERIFIED")
        console.table(headers, [_row(each) for each in found], spare=("SENT", "TOOK", "VERIFIED", "EPOCH"))
    else:
        console.say(f"{name} has no checkpoint yet")


@app.command("verify")
def verify(name: Name, sequence: Sequence = None, as_json: Json = False, data_dir: DataDir = None) -> int:
    """Read every chunk of a checkpoint back from the store and check its digest. Exit code 1 if it is not sound.

    \b
    Example:
      holdfast checkpoint verify train --sequence 4
    """
    with console.working("reading every chunk back"):
        summary = with_holdfast(data_dir, lambda holdfast: holdfast.verify(name, sequence=sequence))
    if as_json:
        console.print_json(summary)
    elif summary.corrupt:
        console.say(f"CORRUPT: {len(summary.corrupt)} of {summary.chunks} chunks; restore an older checkpoint")
    else:
        read = words.size(summary.bytes_read)
        console.say(f"sound: {summary.chunks} chunks, {read} read back in {words.duration(summary.duration)}")
    return 1 if summary.corrupt else 0


@app.command("restore")
def restore(
    name: Name,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="An empty or new folder on this computer.")],
    sequence: Sequence = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Restore a checkpoint into a folder on this computer, every chunk verified. No machine is touched.

    \b
    Example:
      holdfast checkpoint restore train --to ./recovered
    """

    async def fetch(holdfast: Holdfast) -> RestoreSummary:
        from holdfast.client.folders import restore_folder  # noqa: PLC0415 (the store's client is slow to import)

        checkpoint = await holdfast.checkpoint(name, sequence=sequence)
        with console.working(f"restoring checkpoint {checkpoint.sequence} of {name}"):
            return await restore_folder(checkpoint, to, settings=settings_for(data_dir))

    summary = with_holdfast(data_dir, fetch)
    if as_json:
        console.print_json(summary)
        return
    console.say(
        f"{words.count(summary.files, 'file')}, {words.size(summary.bytes_total)} restored to {to} "
        f"in {words.duration(summary.duration)}"
    )


@app.command("forget")
def forget(
    name: Name,
    keep: Annotated[int, typer.Option("--keep", min=0, help="So many of the newest of its last run stay.")] = 1,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Give up the checkpoints of a workload that has ended, and those of earlier runs of its name.

    A workload that still runs keeps its own. What is given up cannot be restored; the space is free after a day or
    two.

    \b
    Examples:
      holdfast checkpoint forget train
      holdfast checkpoint forget train --keep 0
    """
    done = with_holdfast(data_dir, lambda holdfast: holdfast.forget(name, keep=keep))
    if as_json:
        console.print_json(done)
        return
    console.say(f"{words.count(done.forgotten, 'checkpoint')} given up, {done.kept} kept")


async def _tell_trouble(holdfast: Holdfast, name: str) -> None:
    """Tell on stderr what keeps a save from its end: that it takes its time, then each failed attempt once."""
    told: SaveTrouble | None = None
    await asyncio.sleep(SILENT_FOR.total_seconds())
    console.say(f"still saving {name}; Ctrl-C leaves the save under way")
    while True:
        with suppress(HoldfastError):  # who waits for the save itself reports what is wrong
            trouble = await holdfast.save_trouble(name)
            if trouble is not None and trouble.attempt is not None and trouble != told:
                console.say(f"{trouble.reason} (attempt {trouble.attempt}); still trying")
                told = trouble
        await asyncio.sleep(LOOK_EVERY.total_seconds())


def _row(each: CheckpointRef) -> tuple[str, ...]:
    return (
        str(each.sequence),
        str(each.epoch),
        each.reason.value,
        words.age(each.taken_at),
        str(each.files),
        words.size(each.bytes_total),
        words.size(each.bytes_uploaded),
        words.duration(each.duration),
        each.progress or "—",
        words.age(each.verified_at),
    )
