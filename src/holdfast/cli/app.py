"""The `holdfast` command: a table of commands, each loaded only when it is used.

`holdfast --help` answers from this table alone; nothing heavy is imported for it.
"""

import os
import sys
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from holdfast.cli import errors
from holdfast.cli.quick import spared

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

# name -> (module in holdfast.cli.commands, name in it, help). The order is the order of a first day with Holdfast.
COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "up": ("up", "up", "Start everything on this machine: Temporal, store, market, workers."),
    "down": ("down", "down", "End what `up` started; a later `up` carries on."),
    "demo": ("demo", "demo", "Watch a training run survive the loss of two machines."),
    "run": ("run", "run", "Start a workload from a spec file."),
    "ps": ("ps", "app", "List workloads."),
    "status": ("status", "status", "Show one workload, its machine and its freshest telemetry."),
    "logs": ("logs", "logs", "Print a workload's output, from all its machines."),
    "offers": ("offers", "offers", "Show what the market would rent now."),
    "market": ("market", "app", "Look at prices, forecast them, decide when to start."),
    "failover": ("failover", "failover", "Move a workload to another machine."),
    "drill": ("drill", "drill", "Rehearse a loss: a real failover that loses nothing."),
    "pause": ("pause", "pause", "Save, and stop the machine at its provider."),
    "resume": ("resume", "resume", "Start a paused workload again."),
    "stop": ("stop", "stop", "End a workload and let its machine go."),
    "pool": ("pool", "app", "Keep machines ready to take over."),
    "job": ("job", "app", "Run work to its end, inside a deadline and a budget."),
    "endpoint": ("endpoint", "app", "Serve HTTP from machines that sleep while nobody calls."),
    "checkpoint": ("checkpoint", "app", "Save, list, verify, restore and forget checkpoints."),
    "model": ("model", "app", "Register models: fetched, hashed, kept in the store."),
    "finetune": ("finetune", "app", "Fine-tune a model; check data and GPU memory first."),
    "deploy": ("deploy", "deploy", "Put a registered model behind a name, once it has answered."),
    "deployment": ("deployment", "app", "See and change which version of a model a name leads to."),
    "report": ("report", "report", "Show a workload's incidents, recovery times and cost."),
    "why": ("why", "why", "Explain why a machine was chosen, and why others were not."),
    "machines": ("machines", "app", "See how rented machines behaved; ban them or forgive them."),
    "sweep": ("sweep", "sweep", "End machines that cost money and that nobody owns."),
    "cost": ("cost", "cost", "Show what every machine cost, and whether the bills agree."),
    "savings": ("savings", "savings", "Show what sleeping saved, stretch by stretch."),
    "budget": ("budget", "app", "Limit what may be spent, and show how much is."),
    "notify": ("notify", "app", "Tell others of losses and recoveries by signed webhook."),
    "sim": ("sim", "app", "Act on the simulated market: kill, outbid, partition, bill."),
    "simulate": ("simulate", "simulate", "Try a deadline policy on traces of real spot machines."),
    "worker": ("worker", "worker", "Run workers of one or more roles."),
    "doctor": ("doctor", "doctor", "Check this installation and say what to do about it."),
    "records": ("records", "app", "Look after the records database."),
    "version": ("version", "version", "Print the versions of Holdfast and of what it stands on."),
}


class LazyGroup(TyperGroup):
    """A group whose commands are modules, imported when they are called."""

    def get_params(self, ctx: Any) -> list[Any]:
        return spared(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        return _load(cmd_name, getattr(import_module(f"holdfast.cli.commands.{module}"), attribute))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


def _load(name: str, found: Any) -> Any:
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=_CONTEXT)
        alone.command(name)(found)
        command = typer.main.get_command(alone)
    command.name = name
    return command


cli = typer.Typer(
    cls=LazyGroup,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings=_CONTEXT,
)


@cli.callback()
def holdfast(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an unexpected error; may stand anywhere."),
) -> None:
    """Keep GPU work alive on machines that die.

    A first run, without any account: `holdfast up --detach`, then `holdfast run SPEC.yaml --follow`.

    Every command explains itself with --help; exit codes are listed in docs/cli.md.
    """


def run(argv: list[str]) -> int:
    """Run one command line and return its exit code. Errors are printed to stderr, never raised."""
    debug = "--debug" in argv
    try:
        answer = typer.main.get_command(cli).main(
            [word for word in argv if word != "--debug"], prog_name="holdfast", standalone_mode=False
        )
    except BaseException as err:
        return errors.report(err, debug=debug)
    return answer if isinstance(answer, int) else 0


def main() -> None:
    """The entry point of the installed `holdfast` script."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # the reader, `head` say, has gone: nothing is left to tell it
        code = errors.BROKEN_PIPE
    # The SDK's native threads may abort a Python that tears itself down (sdk-python issue 300); the exit code of a
    # finished command must not depend on that.
    os._exit(code)
