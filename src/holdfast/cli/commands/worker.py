"""`holdfast worker`: run workers of one or more roles until told to stop."""

from typing import Annotated

import typer

from holdfast.cli.errors import UsageProblem
from holdfast.workers.main import main
from holdfast.workers.roles import ALL, Role, parse_roles


def worker(
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role", metavar="ROLES", help="control, provider, host, analysis; or all of these; gateway. Repeatable."
        ),
    ] = None,
) -> int:
    """Run workers until SIGTERM or Ctrl-C; what they do then drains or is taken over by others.

    control runs workflows and records, provider holds provider keys, host the SSH key and the store, analysis reads the
    store. gateway takes the calls of endpoints; as it listens for others, it is no part of all.
    Settings come from HOLDFAST_* and TEMPORAL_* variables; docs/settings.md lists them.

    \b
    Examples:
      holdfast worker
      holdfast worker --role provider,host
      holdfast worker --role gateway
    """
    roles = [word for given in role or [ALL] for word in given.split(",")]
    try:
        parse_roles(roles)
    except ValueError as err:
        raise UsageProblem(f"--role: {err}", remedy=f"roles are {', '.join(Role)}, {ALL}") from err
    return main([part for word in roles for part in ("--role", word)])
