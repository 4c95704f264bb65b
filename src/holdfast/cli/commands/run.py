"""`holdfast run SPEC.yaml`: check, ask the market, save the folder, start; optionally stay and watch."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import DataDir, Json, only_watching, with_holdfast
from holdfast.client.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast
    from holdfast.client.starting import Started
    from holdfast.contracts.spec import WorkloadSpec
    from holdfast.contracts.workload import Event, WorkloadResult


def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.yaml", help="The workload's spec; docs/spec.md describes it.")],
    follow: Annotated[
        bool, typer.Option("--follow/--detach", "-f/-d", help="Print the output until the workload has ended.")
    ] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Start a workload from a spec file.

    Every mistake in the spec is named with its line before anything is spent, and the market is asked whether a
    machine fits under the price limit. `workdir` is read relative to the spec file.

    \b
    Examples:
      holdfast run train.yaml
      holdfast run train.yaml --follow
      holdfast run train.yaml --json | jq -r .run_id
    """
    checked, workdir = load(spec)
    return with_holdfast(data_dir, lambda holdfast: _start(holdfast, checked, workdir, follow, as_json))


def load(path: Path) -> tuple[WorkloadSpec, Path | None]:
    """The checked spec and the folder it names, which lies relative to the spec file."""
    from holdfast.client.specs import read_spec  # noqa: PLC0415 (pydantic and yaml; `run --help` needs neither)

    try:
        text = path.read_text()
    except OSError as err:
        raise UsageProblem(f"{path} cannot be read: {err.strerror}", remedy="give the path of a spec in YAML") from err
    except UnicodeDecodeError as err:
        message = f"{path} is not text in UTF-8 (byte {err.start + 1})"
        raise UsageProblem(message, remedy="give the path of a spec in YAML") from err
    spec = read_spec(text, source=str(path))
    if spec.workdir is None:
        return spec, None
    try:
        folder = (path.parent / Path(spec.workdir).expanduser()).resolve()
    except RuntimeError as err:  # ~nobody
        raise UsageProblem(f"workdir {spec.workdir!r}: {err}", remedy="correct workdir in the spec") from err
    if not folder.is_dir():
        raise UsageProblem(f"workdir {spec.workdir!r}: {folder} is not a folder", remedy="correct workdir in the spec")
    return spec, folder


async def _start(holdfast: Holdfast, spec: WorkloadSpec, workdir: Path | None, follow: bool, as_json: bool) -> int:
    with console.working(f"asking the market, saving {workdir or 'nothing'}, starting {spec.name}"):
        started = await holdfast.run(spec, workdir=workdir)
    if as_json and not follow:
        console.print_json(started)
        return 0
    _announce(started)
    if not follow:
        return 0
    with only_watching(spec.name):
        return await _follow(holdfast, spec.name, as_json)


def _announce(started: Started) -> None:
    cheapest = started.cheapest
    console.say(f"{started.name} is started; the cheapest offer that fits is {cheapest.gpu_count}x {cheapest.gpu}")
    console.say(f"at {words.rate(cheapest.hourly)} from {cheapest.provider}. `holdfast status {started.name}` shows it")
    for provider, reason in started.unanswered.items():
        console.say(f"warning: {provider} gave no answer: {reason}")
    if started.workdir:
        saved = started.workdir
        note = "" if saved.files else "; workdir is empty, is that meant?"
        console.say(f"checkpoint zero: {words.count(saved.files, 'file')}, {words.size(saved.bytes_total)}{note}")


async def _follow(holdfast: Holdfast, name: str, as_json: bool) -> int:
    """Print output as it comes, and news in between, until the workload has ended."""
    news = asyncio.create_task(_tell_news(holdfast, name))
    try:
        async for text in holdfast.logs(name).follow():
            if as_json:
                console.say(console.harmless(text.rstrip("\n"), sys.stderr))
            else:
                console.output(text)
    finally:
        news.cancel()
    result = await holdfast.wait(name)
    _conclude(result, as_json)
    return 0 if result.exit_code == 0 else 1


async def _tell_news(holdfast: Holdfast, name: str) -> None:
    """Tell on stderr what happens to the workload, while its output is being printed."""
    told: set[Event] = set()
    while True:
        with suppress(HoldfastError):  # news may be late; who reads the output reports what is wrong
            for event in await holdfast.timeline(name):
                if event not in told:
                    console.say(f"[{words.clock(event.at)}] e{event.epoch} {words.without_raw_words(event.what)}")
                told.add(event)
        await asyncio.sleep(2)


def _conclude(result: WorkloadResult, as_json: bool) -> None:
    if as_json:
        console.print_json(result)
        return
    console.say(f"{result.name} {result.phase.value}: {result.reason} ({words.count(result.incidents, 'incident')})")
    console.say(f"`holdfast report {result.name}` tells the whole story")
