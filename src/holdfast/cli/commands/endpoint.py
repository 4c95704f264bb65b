"""`holdfast endpoint deploy|ls|show|wake|sleep|scale|token|report|rm`: HTTP from machines that sleep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, picture, words
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import DataDir, Json, Wait, with_holdfast

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast
    from holdfast.contracts.endpoints import EndpointStatus, Pass, Wake

app = typer.Typer(
    help="Serve HTTP from machines that sleep while nobody calls.", no_args_is_help=True, rich_markup_mode=None
)

EndpointName = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name.")]


@app.command("deploy")
def deploy(
    spec: Annotated[Path, typer.Argument(metavar="ENDPOINT.yaml", help="The endpoint's spec: docs/endpoints.md.")],
    workdir: Annotated[
        Path | None,
        typer.Option("--workdir", metavar="DIR", help="A folder that every replica finds in its workspace."),
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Start an endpoint. It rents nothing until somebody calls. Prints the token that callers need: once.

    \b
    Examples:
      holdfast endpoint deploy chat.yaml
      holdfast endpoint deploy chat.yaml --workdir ./server --json | jq -r .token
    """
    from holdfast.client.specs import read_endpoint_spec  # noqa: PLC0415 (pydantic and yaml; `--help` needs neither)

    try:
        text = spec.read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise UsageProblem(f"{spec} cannot be read: {err}", remedy="give the path of a spec in YAML") from err
    checked = read_endpoint_spec(text, source=str(spec))
    folder = workdir or _folder_of(spec, checked.workload.workdir)
    if folder is not None and not folder.is_dir():
        raise UsageProblem(f"{folder} is no folder", remedy="give a --workdir that is there")
    done = with_holdfast(data_dir, lambda holdfast: holdfast.endpoints.deploy(checked, workdir=folder))
    if as_json:
        console.print_json(done)
        return
    console.say(f"{done.name} is deployed; gateways answer for it at /{done.name}/ within seconds")
    if done.token:
        console.say("its callers need this token, which is shown only now:")
        console.answer(done.token)


@app.command("ls")
def ls(as_json: Json = False, data_dir: DataDir = None) -> None:
    """List the endpoints that exist.

    \b
    Examples:
      holdfast endpoint ls
      holdfast endpoint ls --json
    """
    found = with_holdfast(data_dir, lambda holdfast: holdfast.endpoints.all())
    if as_json:
        console.print_json(found)
    elif found:
        rows = [
            (
                each.name,
                each.phase,
                f"{_serving(each)}/{len(each.replicas)}",
                str(each.in_flight),
                words.rate(each.hourly),
            )
            for each in found
        ]
        console.table(("endpoint", "phase", "serving", "in flight", "price"), rows)
    else:
        console.say("there is no endpoint; `holdfast endpoint deploy FILE` starts one")


@app.command("show")
def show(name: EndpointName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show one endpoint, its replicas, when it sleeps and what it costs now.

    \b
    Examples:
      holdfast endpoint show chat
      holdfast endpoint show chat --json | jq -r .phase
    """
    _tell(with_holdfast(data_dir, lambda holdfast: holdfast.endpoints.status(name)), as_json)


@app.command("wake")
def wake(name: EndpointName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Wake an endpoint as a caller would, and wait until it can serve. Its idle time begins then.

    It says what it waits for. A replica that is tried meanwhile and cannot serve ends it, with code 1 and the reason.

    \b
    Examples:
      holdfast endpoint wake chat
    """
    given: Pass = with_holdfast(data_dir, lambda holdfast: holdfast.endpoints.wake(name, told=console.say))
    if as_json:
        console.print_json(given)
    else:
        console.say(f"{name} can serve, on {', '.join(each.lease.label for each in given.routes)}")


@app.command("sleep")
def sleep(name: EndpointName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Do not wait for the idle time: sleep as soon as nobody calls. Whoever calls later wakes it again.

    \b
    Examples:
      holdfast endpoint sleep chat
    """
    _tell(with_holdfast(data_dir, lambda holdfast: holdfast.endpoints.sleep(name)), as_json)


@app.command("scale")
def scale(
    name: EndpointName,
    minimum: Annotated[int | None, typer.Option("--min", min=0, max=50, help="Replicas kept awake always.")] = None,
    maximum: Annotated[int | None, typer.Option("--max", min=1, max=50, help="Replicas at most.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Keep other numbers of replicas, from now on.

    \b
    Examples:
      holdfast endpoint scale chat --max 4
      holdfast endpoint scale chat --min 1
    """
    if minimum is None and maximum is None:
        raise UsageProblem("give --min, --max or both", remedy=f"`holdfast endpoint scale {name} --max 4`")
    _tell(
        with_holdfast(data_dir, lambda holdfast: holdfast.endpoints.scale(name, minimum=minimum, maximum=maximum)),
        as_json,
    )


@app.command("token")
def token(name: EndpointName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Make a new token for an endpoint's callers. It is shown only now; every token before it ends within seconds.

    \b
    Examples:
      holdfast endpoint token chat
    """
    made = with_holdfast(data_dir, lambda holdfast: holdfast.endpoints.new_token(name))
    if as_json:
        console.print_json({"name": name, "token": made})
    else:
        console.answer(made)


@app.command("report")
def report(
    name: EndpointName,
    drawn: Annotated[
        Path | None, typer.Option("--draw", metavar="FILE", help="Draw the wakes, as .png or .svg.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show how long an endpoint took to wake, by what it woke from, and where the time went.

    Percentiles are wakes of the record itself: the smallest that half or 95 % of all do not exceed.

    \b
    Examples:
      holdfast endpoint report chat
      holdfast endpoint report chat --draw wakes.png
    """
    picture.require_drawable(drawn)

    async def read(holdfast: Holdfast) -> list[Wake]:
        found = await holdfast.endpoints.wakes(name)
        if not found:
            await holdfast.endpoints.status(name)  # one that was never there has not woken either, and is told of so
        return found

    found = with_holdfast(data_dir, read)
    if as_json:
        console.print_json(found)
    elif found:
        tell_wakes(found)
    else:
        console.say(f"{name} has not woken yet")
    if drawn is not None:
        if not found:
            raise UsageProblem(f"{name} has not woken yet: there is nothing to draw")
        picture.draw_wakes(drawn, found, title=f"{name}: {words.count(len(found), 'wake')}, and where the time went")
        console.say(f"drawn: {drawn}")


@app.command("rm")
def rm(
    name: EndpointName,
    wait: Wait = True,
    force: Annotated[bool, typer.Option("--force", help="Also a release of a deployment that goes on.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """End an endpoint; every machine of it is let go. Requests that it answers at the moment are cut.

    \b
    Examples:
      holdfast endpoint rm chat
      holdfast endpoint rm chat-v1 --force
    """

    async def remove(holdfast: Holdfast) -> EndpointStatus:
        begun = await holdfast.endpoints.remove(name, force=force)
        if not wait:
            return begun
        await holdfast.endpoints.ended(name)
        return await holdfast.endpoints.status(name)

    _tell(with_holdfast(data_dir, remove), as_json)


def _folder_of(spec: Path, workdir: str | None) -> Path | None:
    """What the spec names is meant from where the spec is."""
    return None if workdir is None else (spec.parent / Path(workdir).expanduser())


def _serving(status: EndpointStatus) -> int:
    return sum(each.ready_at is not None for each in status.replicas)


def _tell(status: EndpointStatus, as_json: bool) -> None:
    if as_json:
        console.print_json(status)
        return
    console.say(f"endpoint {status.name}: {status.phase}, {status.reason}")
    console.say(
        f"{words.rate(status.hourly)}; {status.in_flight} in flight, {status.waiting} waiting; "
        f"{words.count(status.wakes, 'wake')} so far; {status.minimum} to {status.maximum} replicas"
    )
    console.say(f"sleeps after {words.duration(status.sleeps_after)} without requests, {status.why_after}")
    if status.replicas:
        console.table(("replica", "is", "machine", "price", "serves", "last word"), _rows(status))


def _rows(status: EndpointStatus) -> Sequence[tuple[str, ...]]:
    return [
        (
            each.name,
            str(each.phase or "not there"),
            each.lease.label if each.lease else "—",
            words.rate(each.hourly()),
            words.age(each.ready_at) if each.ready_at else "—",
            console.one_line(each.reason),
        )
        for each in status.replicas
    ]


def tell_wakes(found: Sequence[Wake]) -> None:
    """A row for each thing that was woken from: how long it took, and the median of each phase."""
    from holdfast.contracts.endpoints import WakePhases  # noqa: PLC0415 (pydantic; `--help` needs none)
    from holdfast.policy.percentiles import nearest_rank  # noqa: PLC0415

    parts = [each.name for each in fields(WakePhases)]
    rows = []
    for woken_from in sorted({each.woken_from for each in found}):
        those = [each for each in found if each.woken_from is woken_from]
        totals = [each.ready_at - each.asked_at for each in those]
        spread = [words.duration(nearest_rank(totals, percent)) for percent in (50, 95, 100)]
        medians = [_short(nearest_rank([getattr(each.phases, part) for each in those], 50)) for part in parts]
        rows.append((woken_from.value, str(len(those)), *spread, *medians))
    console.table(("from", "wakes", "p50", "p95", "max", *(part.replace("_", " ") for part in parts)), rows)


def _short(span: timedelta) -> str:
    return words.duration(span) if span else "—"
