"""The reference is complete and up to date; every command explains itself."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from holdfast.cli import app, reference

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found = []
    with typer.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            here = (*path, name)
            found += commands(command, here) if isinstance(command, TyperGroup) else [(here, command)]
    return found


ALL = commands(typer.main.get_command(app.cli))


@pytest.mark.parametrize(
    ("path", "command"), ALL, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_is_documented_with_an_example(path: tuple[str, ...], command: Any) -> None:
    assert f"`holdfast {' '.join(path)}`" in DOCS.read_text()
    assert f"holdfast {' '.join(path)}" in (command.help or ""), "its help shows an example"
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{parameter.name} has no help"


def test_the_reference_is_what_the_commands_say() -> None:
    assert DOCS.read_text() == reference.write(), "run: python -m holdfast.cli.reference > docs/cli.md"
