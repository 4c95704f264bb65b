"""`holdfast records migrate|current`: the records database and its schema."""

from typing import Annotated

import typer

from holdfast.cli import console
from holdfast.cli.session import DataDir, settings_for
from holdfast.records import schema, version

app = typer.Typer(help="Look after the records database.", no_args_is_help=True, rich_markup_mode=None)


@app.command("migrate")
def migrate(data_dir: DataDir = None) -> None:
    """Set the records up, or bring them to this version. Safe to repeat, and to run from many places at once.

    \b
    Example:
      holdfast records migrate
    """
    done = schema.migrate(settings_for(data_dir).records_location())
    if done.before == done.after:
        console.say(f"the records are at version {done.after}: nothing to do")
    else:
        console.say(f"the records went from {done.before or 'nothing'} to version {done.after}")


@app.command("current")
def current(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False, data_dir: DataDir = None
) -> int:
    """Say at which version the records are. Exit code 1 if this Holdfast needs another one.

    \b
    Example:
      holdfast records current --json
    """
    found, needed = version.current(settings_for(data_dir).records_location()), version.head()
    if as_json:
        console.print_json({"found": found, "needed": needed})
    else:
        console.facts({"records": found or "not set up", "needed": needed})
    return 0 if found == needed else 1
