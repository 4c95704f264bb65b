"""`holdfast deployment ls|show|rollback|token|retire`: names that lead to models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.comparing import show_compared
from holdfast.cli.session import DataDir, Json, Wait, with_holdfast

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast
    from holdfast.contracts.deployments import DeploymentStatus

app = typer.Typer(
    help="See and change which version of a model a name leads to.", no_args_is_help=True, rich_markup_mode=None
)

DeploymentName = Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name.")]


@app.command("ls")
def ls(as_json: Json = False, data_dir: DataDir = None) -> None:
    """List the deployments that exist.

    \b
    Examples:
      holdfast deployment ls
      holdfast deployment ls --json
    """
    found = with_holdfast(data_dir, lambda holdfast: holdfast.deployments.all())
    if as_json:
        console.print_json(found)
    elif found:
        rows = [
            (each.name, each.phase, each.serving or "—", each.kept or "—", console.one_line(each.reason))
            for each in found
        ]
        console.table(("deployment", "phase", "serves", "kept", "last word"), rows)
    else:
        console.say("there is no deployment; `holdfast deploy MODEL --max-hourly USD` starts one")


@app.command("show")
def show(name: DeploymentName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show one deployment: which release serves, which is kept, and what became of the others.

    \b
    Examples:
      holdfast deployment show chat
      holdfast deployment show chat --json | jq -r .serving
    """
    _tell(with_holdfast(data_dir, lambda holdfast: holdfast.deployments.status(name)), as_json)


@app.command("rollback")
def rollback(name: DeploymentName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Go back: give up the release that is under way or, without one, let the one that is kept serve again.

    Nothing is woken for it: the first caller does that. A second rollback leads forward again.

    \b
    Examples:
      holdfast deployment rollback chat
    """
    _tell(with_holdfast(data_dir, lambda holdfast: holdfast.deployments.rollback(name)), as_json)


@app.command("token")
def token(name: DeploymentName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Make a new token for a deployment's callers. It is shown only now; every token before it ends within seconds.

    \b
    Examples:
      holdfast deployment token chat
    """
    made = with_holdfast(data_dir, lambda holdfast: holdfast.deployments.new_token(name))
    if as_json:
        console.print_json({"name": name, "token": made})
    else:
        console.answer(made)


@app.command("retire")
def retire(name: DeploymentName, wait: Wait = True, as_json: Json = False, data_dir: DataDir = None) -> None:
    """End a deployment with all its releases; every machine is let go. Requests in flight are cut.

    \b
    Examples:
      holdfast deployment retire chat
    """

    async def work(holdfast: Holdfast) -> DeploymentStatus:
        begun = await holdfast.deployments.retire(name)
        if not wait:
            return begun
        await holdfast.deployments.ended(name)
        return await holdfast.deployments.status(name)

    _tell(with_holdfast(data_dir, work), as_json)


def _tell(status: DeploymentStatus, as_json: bool) -> None:
    if as_json:
        console.print_json(status)
        return
    console.say(f"deployment {status.name}: {status.phase}, {status.reason}")
    rows = [
        (
            each.endpoint,
            f"{each.model}@{each.version}",
            each.state,
            words.age(each.began_at),
            console.one_line(each.reason),
        )
        for each in status.releases
    ]
    console.table(("release", "model", "is", "ordered", "last word"), rows)
    newest = next((each for each in reversed(status.releases) if each.compared), None)
    if newest is not None:
        show_compared(newest)
