"""`holdfast worker`: run workers of one or more roles until told to stop."""

from typing import Annotated

import typer

from holdfast.cli.errors import UsageProblem
from holdfast.workers.main import run

ROLES = ("control", "provider", "host", "analysis")


def worker(
    role: Annotated[str, typer.Option("--role", metavar="ROLES", help="control, provider, host, analysis; or all.")] = (
        "all"
    ),
) -> int:
    """Run workers until SIGTERM or Ctrl-C; what they do then drains or is taken over by others.

    control runs workflows and records, provider holds provider keys, host holds SSH keys, analysis needs nothing.
    Settings come from HOLDFAST_* and TEMPORAL_* variables; docs/settings.md lists them.

    \b
    Examples:
      holdfast worker --role all
      holdfast worker --role provider,host
    """
    roles = tuple(word.strip() for word in role.split(",") if word.strip())
    unknown = [each for each in roles if each not in (*ROLES, "all")]
    if unknown or not roles:
        raise UsageProblem(
            f"--role {role!r}: unknown {', '.join(unknown)}", remedy=f"roles are {', '.join(ROLES)}, all"
        )
    return run(ROLES if "all" in roles else roles)
