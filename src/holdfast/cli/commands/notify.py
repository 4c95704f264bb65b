"""`holdfast notify`: who is told of losses and recoveries, and how that went."""

import asyncio
from typing import Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.session import DataDir, Json, settings_for, with_holdfast
from holdfast.contracts.notifications import Notification

app = typer.Typer(
    help="Tell others of losses and recoveries by signed webhook.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("test")
def test(as_json: Json = False, data_dir: DataDir = None) -> None:
    """Send one signed message of the kind `test` to the receiver, now and from here.

    The receiver is what HOLDFAST_NOTIFY__URL and HOLDFAST_NOTIFY__SECRET say in this shell; the workers must be told
    the same. Exit code 1 if it did not take the message, 78 if none is set.

    \b
    Example:
      HOLDFAST_NOTIFY__URL=https://example.org/hook HOLDFAST_NOTIFY__SECRET=whsec_... holdfast notify test
    """
    from holdfast.client import notifications  # noqa: PLC0415 (a wrong option is answered at once)

    told = asyncio.run(notifications.send_test(settings_for(data_dir).notify))
    if as_json:
        console.print_json(told)
    else:
        console.say(f"delivered: {told.event_id}")


@app.command("ls")
def ls(
    *,
    at_most: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="So many, the newest.")] = 50,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List what happened lately and who was told, the newest first.

    \b
    Examples:
      holdfast notify ls
      holdfast notify ls --json | jq '.[] | select(.given_up_at != null)'
    """
    from holdfast.client import notifications  # noqa: PLC0415 (a wrong option is answered at once)

    found = with_holdfast(data_dir, lambda holdfast: notifications.recent(holdfast.temporal, at_most=at_most))
    if as_json:
        console.print_json(found)
    elif found:
        headers = ("EVENT", "KIND", "HAPPENED", "STATE", "TRIES", "LAST ERROR")
        console.table(headers, [_row(each) for each in found], spare=("LAST ERROR",))
    else:
        console.say("nothing has happened yet that anybody would be told of")


def _row(told: Notification) -> tuple[str, ...]:
    if told.delivered_at:
        state = "delivered"
    elif told.given_up_at:
        state = "given up"
    else:
        state = "waits" if told.tries else "not tried"
    return (
        told.event_id,
        told.kind,
        words.clock(told.made_at),
        state,
        str(told.tries),
        console.one_line(told.last_error) or "—",
    )
