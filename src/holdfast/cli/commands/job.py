"""`holdfast job submit|ls|show|wait|logs|plot|fetch|rm|cancel|budget|queue|limit|pin`: work that runs to its end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, picture, progress, words
from holdfast.cli.amounts import dollars
from holdfast.cli.errors import JOB_ENDS, UsageProblem
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast
    from holdfast.client.jobs import JobView, RemovedJob, Submitted
    from holdfast.contracts.activities import Telemetry
    from holdfast.contracts.jobs import ArraySpec, JobSpec, JobStatus, QueueStatus

app = typer.Typer(
    help="Run work to its end, inside a deadline and a budget.", no_args_is_help=True, rich_markup_mode=None
)

JobName = Annotated[str, typer.Argument(metavar="NAME", help="The job's name.")]
Tenant = Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose jobs.")]
_BAR = 30  # places


@app.command("submit")
def submit(  # noqa: PLR0917 (each is an option of the command line)
    spec: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job's spec: docs/jobs.md.")],
    array: Annotated[
        int | None, typer.Option("--array", min=1, help="So many jobs; $ARRAY_INDEX tells them apart.")
    ] = None,
    each: Annotated[
        list[str] | None,
        typer.Option("--each", metavar="NAME=A,B,…", help="A job for each of these values of a variable; repeatable."),
    ] = None,
    at_once: Annotated[int | None, typer.Option("--at-once", min=1, help="Of the array, at a time.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--detach", "-f/-d", help="Print the output until it has ended.")
    ] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Start a job from a spec file, or an array of them.

    Mistakes, inputs that are not there or not what they are pinned to, and a market that has nothing are told before
    anything is rented. With --follow the exit code says how the job ended: docs/jobs.md.

    \b
    Examples:
      holdfast job submit train.yaml
      holdfast job submit train.yaml --follow
      holdfast job submit sweep.yaml --each LR=1e-4,3e-4 --each SEED=1,2,3 --at-once 4
    """
    checked, workdir = _load(spec)
    wanted = _array_of(array, each or [], at_once)
    if wanted is not None:
        if follow:
            raise UsageProblem("an array cannot be followed", remedy=f"`holdfast job ls --array {checked.name}`")
        started = with_holdfast(
            data_dir, lambda holdfast: _submit_array(holdfast, checked, wanted, workdir, spec.parent)
        )
        if as_json:
            console.print_json(started)
        else:
            console.say(f"{words.count(len(started), 'job')} submitted: {started[0].name} to {started[-1].name}")
            console.say(f"`holdfast job ls --array {checked.name}` shows them")
        return 0
    return with_holdfast(data_dir, lambda holdfast: _submit(holdfast, checked, workdir, spec.parent, follow, as_json))


@app.command("ls")
def ls(
    ended: Annotated[bool, typer.Option("--all", "-a", help="Also those that are over.")] = False,
    tenant: Annotated[str, typer.Option("--tenant", metavar="NAME", help="Only jobs of this tenant.")] = "",
    array: Annotated[str, typer.Option("--array", metavar="NAME", help="Only jobs of this array.")] = "",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List jobs, the newest first.

    \b
    Examples:
      holdfast job ls
      holdfast job ls --all --array sweep
      holdfast job ls --all --json | jq -r '.[] | select(.phase == "failed") | .name'
    """
    found = with_holdfast(data_dir, lambda holdfast: holdfast.jobs.all(ended=ended, tenant=tenant, array=array))
    if as_json:
        console.print_json(found)
    elif found:
        console.table(
            ("job", "phase", "attempts", "spent", "submitted", "why"), [_row(each) for each in found], spare=("why",)
        )
    elif ended:
        console.say("there is no such job; `holdfast job submit FILE` starts one")
    else:
        console.say("no such job goes on; --all lists those that are over too, `holdfast job submit FILE` starts one")


@app.command("show")
def show(name: JobName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show one job: how far it is, its attempts, its money, what it left behind.

    \b
    Examples:
      holdfast job show train
      holdfast job show train --json | jq -r .status.phase
    """
    view: JobView = with_holdfast(data_dir, lambda holdfast: holdfast.jobs.status(name))
    if as_json:
        console.print_json(view)
    else:
        _tell(view)


@app.command("wait")
def wait(name: JobName, as_json: Json = False, data_dir: DataDir = None) -> int:
    """Wait until a job is over. The exit code says how it ended: docs/jobs.md.

    \b
    Examples:
      holdfast job wait train && holdfast job fetch train ./out
    """
    status = with_holdfast(data_dir, lambda holdfast: holdfast.jobs.wait(name))
    return _conclude(status, as_json)


@app.command("logs")
def logs(  # noqa: PLR0917 (as above)
    name: JobName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=1, help="Only the last N lines so far.")] = None,
    cursor: Annotated[
        str, typer.Option("--cursor", metavar="CURSOR", help="Only what came after an earlier reading.")
    ] = "",
    tell_cursor: Annotated[
        bool, typer.Option("--tell-cursor", help="Print, to stderr, the cursor for the next reading.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Print what a job's attempts wrote, on all their machines, those long gone too.

    \b
    Examples:
      holdfast job logs train --tail 20
      holdfast job logs train -f
      holdfast job logs train --tell-cursor
    """

    async def read(holdfast: Holdfast) -> None:
        await holdfast.jobs.status(name)  # an unknown name is an error, not an empty log
        reader = holdfast.jobs.logs(name, cursor=cursor)
        if tail is not None:
            console.output(await reader.tail(tail))
        else:
            async for text in reader.so_far():
                console.output(text)
        if follow:
            with _only_watching(name):
                async for text in reader.follow():
                    console.output(text)
        if tell_cursor:
            console.say(reader.cursor)

    with_holdfast(data_dir, read)


@app.command("plot")
def plot(
    name: JobName,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="As .png or .svg; NAME.png if left out.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--series", metavar="NAME", help="Only this one; repeatable.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Draw the numbers that a job's work wrote of itself, such as its loss, by step.

    Lines show where the work went on with another machine. With --json the numbers are printed, and nothing is drawn.

    \b
    Examples:
      holdfast job plot train
      holdfast job plot train --series loss --out loss.svg
      holdfast job plot train --json | jq '.[] | select(.name == "loss") | .points[-1].value'
    """
    path = out or Path(f"{name}.png")
    picture.require_drawable(None if as_json else path)
    found = with_holdfast(data_dir, lambda holdfast: holdfast.jobs.series(name))
    chosen = tuple(each for each in found if not only or each.name in only)
    if as_json:
        console.print_json(chosen)
        return
    if not chosen:
        there = ", ".join(each.name for each in found) or "none"
        raise UsageProblem(
            f"{name} has written no such numbers; there are: {there}",
            remedy="its work writes them to the file $HOLDFAST_METRICS_FILE: docs/jobs.md",
        )
    picture.draw_series(path, chosen, title=name)
    console.say(f"drawn: {path}")


@app.command("fetch")
def fetch(
    name: JobName,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder.")],
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Fetch what a job that is over left behind, every chunk verified. Of one that failed: what it had saved.

    \b
    Examples:
      holdfast job fetch train ./out
    """
    done = with_holdfast(data_dir, lambda holdfast: holdfast.jobs.fetch(name, folder))
    if as_json:
        console.print_json(done)
    else:
        console.say(f"{words.count(done.files, 'file')}, {words.size(done.bytes_total)}, in {folder}")


@app.command("cancel")
def cancel(
    name: JobName,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Save what it has done first.")] = True,
    stay: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until its machine is gone.")] = True,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """End a job, in whatever phase it is; its machine is let go. A second one with --no-save hurries the first.

    \b
    Examples:
      holdfast job cancel train
      holdfast job cancel train --no-save
    """

    async def order(holdfast: Holdfast) -> JobStatus:
        begun = await holdfast.jobs.cancel(name, save=save)
        return await holdfast.jobs.wait(name) if stay else begun

    status = with_holdfast(data_dir, order)
    if as_json:
        console.print_json(status)
    else:
        console.say(f"{status.name} is {status.phase}: {status.reason}")


@app.command("start")
def start(
    name: JobName,
    reason: Annotated[str, typer.Option("--reason", help="Kept with the job.")] = "told to start",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Start a job that waits for a cheaper hour (`start: when_cheap`), whatever machines cost now.

    \b
    Examples:
      holdfast job start train
    """
    status = with_holdfast(data_dir, lambda holdfast: holdfast.jobs.start(name, reason=reason))
    if as_json:
        console.print_json(status)
    else:
        console.say(f"{status.name} {status.phase.value}: {status.reason}")


@app.command("budget")
def budget(
    name: JobName,
    amount: Annotated[str, typer.Argument(metavar="USD|none", help="For the whole job; none: no limit any more.")],
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Change the budget of a job that goes on.

    \b
    Examples:
      holdfast job budget train 12.50
      holdfast job budget train none
    """
    status = with_holdfast(data_dir, lambda holdfast: holdfast.jobs.change_budget(name, _amount(amount)))
    if as_json:
        console.print_json(status)
    else:
        console.say(f"{name}: {_money(status)}")


@app.command("rm")
def rm(name: JobName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Forget a job that is over: its record, what it left behind, its log, what its attempts saved. For good.

    Fetch first what you want to keep. What its attempts cost stays on record; the space is free after a day or two.

    \b
    Examples:
      holdfast job rm train
      holdfast job ls --all --array sweep --json | jq -r '.[].name' | xargs -n1 holdfast job rm
    """
    done: RemovedJob = with_holdfast(data_dir, lambda holdfast: holdfast.jobs.remove(name))
    if as_json:
        console.print_json(done)
        return
    saved = words.count(done.checkpoints, "checkpoint")
    console.say(f"{name} is forgotten, with {saved} and {words.count(done.log_pieces, 'piece')} of log")
    if done.attempts:
        console.say(f"what it cost is left: `holdfast report {done.attempts[-1]}`")


@app.command("queue")
def queue(tenant: Tenant = "default", as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show which jobs of a tenant run, and which wait, in the order in which they would go.

    \b
    Examples:
      holdfast job queue
      holdfast job queue --tenant research --json
    """
    _tell_queue(with_holdfast(data_dir, lambda holdfast: holdfast.jobs.queue(tenant)), as_json)


@app.command("limit")
def limit(
    at_once: Annotated[int, typer.Argument(metavar="N", min=1, max=1000, help="Jobs that may run at a time.")],
    tenant: Tenant = "default",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Let so many jobs of a tenant run at a time, from now on. Those that run are left alone.

    \b
    Examples:
      holdfast job limit 4
      holdfast job limit 32 --tenant research
    """
    _tell_queue(with_holdfast(data_dir, lambda holdfast: holdfast.jobs.limit(tenant, at_once)), as_json)


@app.command("pin")
def pin(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file or a folder of this computer.")],
    as_json: Json = False,
) -> None:
    """Tell the SHA-256 by which a spec may pin an input: of the file, or of all files of the folder.

    \b
    Examples:
      holdfast job pin data/train.jsonl
    """
    from holdfast.client.folders import pin_of  # noqa: PLC0415 (the store's client is slow to import)

    digest = pin_of(path)
    if as_json:
        console.print_json({"path": str(path), "sha256": digest})
    else:
        console.answer(digest)


def _load(path: Path) -> tuple[JobSpec, Path | None]:
    from holdfast.client.specs import read_job_spec  # noqa: PLC0415 (pydantic and yaml; `--help` needs neither)

    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise UsageProblem(f"{path} cannot be read: {err}", remedy="give the path of a spec in YAML") from err
    spec = read_job_spec(text, source=str(path))
    if spec.workdir is None:
        return spec, None
    folder = (path.parent / Path(spec.workdir).expanduser()).resolve()
    if not folder.is_dir():
        raise UsageProblem(f"workdir {spec.workdir!r}: {folder} is not a folder", remedy="correct workdir in the spec")
    return spec, folder


def _array_of(count: int | None, each: Sequence[str], at_once: int | None) -> ArraySpec | None:
    if count is None and not each:
        if at_once is not None:
            raise UsageProblem("--at-once is for an array", remedy="give --array or --each as well")
        return None
    from pydantic import ValidationError  # noqa: PLC0415 (as above)

    from holdfast.contracts.jobs import ArraySpec  # noqa: PLC0415

    values: dict[str, tuple[str, ...]] = {}
    for one in each:
        variable, given, listed = one.partition("=")
        if not given or not listed or variable in values:
            raise UsageProblem(f"--each {one!r} should be NAME=A,B,…, once for each name")
        values[variable] = tuple(listed.split(","))
    try:
        return ArraySpec(count=count, values=values, at_once=at_once)
    except ValidationError as err:
        raise UsageProblem(f"the array cannot be: {err.errors()[0]['msg']}") from None


async def _submit(  # noqa: PLR0917 (as above)
    holdfast: Holdfast, spec: JobSpec, workdir: Path | None, base: Path, follow: bool, as_json: bool
) -> int:
    with console.working(f"asking the market, saving {workdir or 'nothing'}, submitting {spec.name}"):
        started = await holdfast.jobs.submit(spec, workdir=workdir, base=base)
    if not follow:
        if as_json:
            console.print_json(started)
        else:
            console.say(f"{started.name} is submitted; `holdfast job show {started.name}` shows how it does")
        return 0
    with _only_watching(spec.name):
        async for text in holdfast.jobs.logs(spec.name).follow():
            if as_json:
                console.say(console.harmless(text.rstrip("\n"), sys.stderr))
            else:
                console.output(text)
        return _conclude(await holdfast.jobs.wait(spec.name), as_json)


async def _submit_array(
    holdfast: Holdfast, spec: JobSpec, wanted: ArraySpec, workdir: Path | None, base: Path
) -> tuple[Submitted, ...]:
    with console.working(f"asking the market, saving {workdir or 'nothing'}, submitting the array {spec.name}"):
        return await holdfast.jobs.submit_array(spec, wanted, workdir=workdir, base=base)


@contextmanager
def _only_watching(name: str) -> Iterator[None]:
    """Ctrl-C inside ends the watching, not the job, and says so."""
    try:
        yield
    except asyncio.CancelledError:  # how Ctrl-C arrives in a coroutine
        console.say(f"\n{name} goes on; `holdfast job logs {name} -f` watches it, `holdfast job cancel {name}` ends it")
        raise


def _conclude(status: JobStatus, as_json: bool) -> int:
    """The exit code of how it ended."""
    if as_json:
        console.print_json(status)
    else:
        console.say(f"{status.name} {status.phase.value}: {status.reason}; {_money(status)}")
    return JOB_ENDS[str(status.cause)] if status.cause is not None else 1


def _row(status: JobStatus) -> tuple[str, ...]:
    return (
        status.name,
        status.phase.value,
        # One that goes on may be in its first: the list knows of those that were written down.
        str(len(status.attempts)) if status.attempts or status.ended_at is not None else "—",
        words.money(status.spent),
        words.age(status.submitted_at),
        status.reason,
    )


def _tell(view: JobView) -> None:
    status = view.status
    console.answer(f"job {status.name}: {status.phase.value}, {status.reason}")
    facts = {"money": _money(status), "submitted": words.clock(status.submitted_at)}
    if (bar := bar_of(view.live)) is not None:
        facts["progress"] = bar
    elif view.live is not None and view.live.progress:
        facts["progress"] = view.live.progress
    if status.lease is not None:
        lease = status.lease
        facts["machine"] = f"{lease.gpu_count}x {lease.gpu} at {lease.provider}, {words.rate(lease.hourly)}"
    if status.phase == "waiting" and status.starts_by is not None:
        facts["starts by"] = f"{words.clock(status.starts_by)} at the latest"
        if status.again_at is not None:
            facts["next look"] = words.clock(status.again_at)
    if status.advice is not None:
        facts["price"] = f"{status.advice.reason} ({words.clock(status.advice.at)})"
    if status.ends_by is not None:
        facts["deadline"] = words.clock(status.ends_by)
    if status.outputs is not None:
        kept = status.outputs
        facts["outputs"] = f"{words.count(kept.files, 'file')}, {words.size(kept.bytes_total)}, {kept.sha256[:16]}"
    for each in status.inputs:
        facts[f"input {each.at}"] = f"{each.source}, {words.size(each.bytes_total)}, {each.sha256[:16]}"
    console.facts(facts)
    if status.attempts:
        console.table(
            ("attempt", "ended", "code", "lost or left", "cost", "reason"),
            [
                (
                    each.workload,
                    each.upshot.value if each.upshot else "goes on",
                    "—" if each.exit_code is None else str(each.exit_code),
                    str(each.losses) if each.upshot else "—",  # it is counted at its end
                    words.money(each.cost) if each.upshot else "—",
                    each.reason,
                )
                for each in status.attempts
            ],
        )


def bar_of(live: Telemetry | None) -> str | None:
    """How far the work says it is; None where it does not say of how much."""
    if live is None or live.step is None or not live.steps:
        return None
    share = min(live.step / live.steps, 1.0)
    return f"{progress.drawn(share, _BAR)} {live.step}/{live.steps}, {share:.0%}  {live.progress}"


def _tell_queue(found: QueueStatus, as_json: bool) -> None:
    if as_json:
        console.print_json(found)
        return
    console.answer(
        f"{found.tenant}: {len(found.running)} of {found.at_once} run, {found.waits} wait, {found.done} are done"
    )
    rows = [(name, "runs", "", "") for name in found.running]
    rows += [(each.job, "waits", str(each.priority), each.key) for each in found.waiting]
    if rows:
        console.table(("job", "is", "priority", "key"), rows)


def _money(status: JobStatus) -> str:
    limit = "no budget" if status.budget is None else f"a budget of {words.money(status.budget)}"
    return f"{words.money(status.spent)} spent by attempts that have ended, {limit}"


def _amount(text: str) -> Decimal | None:
    return None if text == "none" else dollars(text, remedy="give US dollars, such as 12.50, or `none`")
