"""`holdfast deploy MODEL[@VERSION]`: a registered model behind a name, once it has answered."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console
from holdfast.cli.amounts import dollars
from holdfast.cli.errors import UsageProblem
from holdfast.cli.serve_options import OPTIONS, options_from
from holdfast.cli.session import DataDir, Json, Wait, with_holdfast
from holdfast.contracts.spec import PauseMode

if TYPE_CHECKING:
    from holdfast.client.deploying import Ordered
    from holdfast.client.holdfast import Holdfast
    from holdfast.contracts.deployments import DeploymentStatus


def deploy(
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL[@VERSION]", help="A registered model: `holdfast model ls`.")],
    max_hourly: Annotated[str, typer.Option("--max-hourly", metavar="USD", help="For one machine, per hour.")],
    name: Annotated[
        str, typer.Option("--as", metavar="NAME", help="The name that callers use; left out: the model's.")
    ] = "",
    recipe: Annotated[
        str, typer.Option("--recipe", help="How it is served; left out: by the model's kind and files.")
    ] = "",
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help=f"Repeatable: {', '.join(OPTIONS)}.")
    ] = None,
    gpu: Annotated[str | None, typer.Option("--gpu", help="Model of GPU; left out: any with enough memory.")] = None,
    mode: Annotated[
        PauseMode, typer.Option("--mode", help="Asleep: stop keeps the disk, billed; checkpoint lets all go.")
    ] = PauseMode.STOP,
    smoke: Annotated[
        Path | None,
        typer.Option("--smoke", metavar="FILE", help="YAML with what it is asked first; else the recipe's."),
    ] = None,
    within: Annotated[
        str, typer.Option("--within", metavar="TIME", help="How long it may take until it can serve, such as 30m.")
    ] = "1h",
    wait: Wait = True,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Start a new endpoint with a model's files, ask it what callers would ask, then let the name lead to it.

    What served before is kept asleep for `holdfast deployment rollback`. A version that does not serve, or answers
    badly, is removed, and what served before serves on: exit code 29. The token that callers need is shown once, with
    the first version.

    \b
    Examples:
      holdfast deploy qwen --max-hourly 0.60
      holdfast deploy qwen@2 --as chat --max-hourly 2 --gpu H100 --mode checkpoint -o context=32768
      holdfast deploy mine --max-hourly 0.40 -o image=python:3.12 -o 'command=python3 serve.py' --smoke ask.yaml
    """
    from holdfast.client.deploying import Wish, read_smoke  # noqa: PLC0415 (the SDK; `--help` needs none)

    called, version = _version_of(model)
    options = options_from(option or (), max_hourly=dollars(max_hourly, above_zero=True), endpoint=name, gpu=gpu)
    wish = Wish(
        model=called,
        version=version,
        options=options,
        recipe=recipe,
        mode=mode,
        smoke=read_smoke(_text_of(smoke), source=str(smoke)) if smoke else None,
        within=_span(within),
    )

    async def work(holdfast: Holdfast) -> tuple[Ordered, DeploymentStatus | None]:
        try:
            ordered = await holdfast.deployments.deploy(wish)
        except asyncio.CancelledError:  # how Ctrl-C arrives in a coroutine
            console.say(
                f"\nstopped while it was ordered; `holdfast deployment show {name or called}` tells whether it was"
            )
            raise
        if not as_json:
            console.say(f"{ordered.name}: release {ordered.release} is {ordered.endpoint}")
        if not wait:
            return ordered, None
        try:
            return ordered, await holdfast.deployments.decided(ordered.name, ordered.release, told=console.say)
        except asyncio.CancelledError:  # how Ctrl-C arrives in a coroutine
            console.say(f"\nit goes on; `holdfast deployment show {ordered.name}` tells how it fares")
            _tell_token(ordered)
            raise

    ordered, status = with_holdfast(data_dir, work)
    if as_json:
        document = {"name": ordered.name, "release": ordered.release, "endpoint": ordered.endpoint}
        console.print_json({**document, "token": ordered.token, "status": status})
        return
    if status is not None:
        console.say(f"gateways answer for it at /{ordered.name}/ within seconds")
    _tell_token(ordered)


def _tell_token(ordered: Ordered) -> None:
    """Once it is sure that it opens something; who is not told can make a new one."""
    if ordered.token:
        console.say("its callers need this token, which is shown only now:")
        console.answer(ordered.token)


def _version_of(model: str) -> tuple[str, int | None]:
    called, at, version = model.partition("@")
    if at and (not version.isascii() or not version.isdigit() or not 0 < int(version) < 1_000_000):
        raise UsageProblem(f"{version[:40]!r} is no version", remedy="give its number, such as qwen@2")
    return called, int(version) if at else None


def _text_of(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise UsageProblem(f"{path} cannot be read: {err}", remedy="give the path of a smoke test in YAML") from err


def _span(given: str) -> timedelta:
    from holdfast.contracts.written import DAY, parse_duration  # noqa: PLC0415 (pydantic; `--help` needs none)

    try:
        span: timedelta = parse_duration(given)
    except ValueError as err:
        raise UsageProblem(str(err), remedy="give --within such as 30m or 2h") from None
    if not timedelta() < span <= DAY:
        raise UsageProblem(f"--within {given} is not between 0 and one day", remedy="give --within such as 30m or 2h")
    return span
