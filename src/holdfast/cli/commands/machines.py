"""`holdfast machines`: what is remembered of machines, and which are banned."""

import re
from datetime import timedelta
from typing import Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import DataDir, Json, with_holdfast
from holdfast.client import machines as memory
from holdfast.contracts.machines import Conduct
from holdfast.contracts.memory import MachineHistory, MachineMemory, StayLine

app = typer.Typer(
    help="See how rented machines behaved; ban them or forgive them.", no_args_is_help=True, rich_markup_mode=None
)

Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="Which provider, such as vast.")]
Machine = Annotated[str, typer.Argument(metavar="MACHINE", help="The machine's id at its provider; `offers` shows it.")]

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST = timedelta(days=3650)


@app.command("ls")
def ls(
    provider: Annotated[str | None, typer.Option("--provider", help="Only machines of this one.")] = None,
    banned: Annotated[bool, typer.Option("--banned", help="Only machines that are not rented now.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List the machines that we ever had: the banned first, then those that failed most.

    \b
    Examples:
      holdfast machines ls
      holdfast machines ls --banned --json
    """
    found = with_holdfast(
        data_dir, lambda holdfast: memory.remembered(holdfast.temporal, provider=provider, banned_only=banned)
    )
    if as_json:
        console.print_json(found)
    elif found:
        headers = ("PROVIDER", "MACHINE", "HOST", "GPU", "GOOD", "BAD", "NEUTRAL", "LAST HAD", "BANNED")
        console.table(headers, [_row(each) for each in found], spare=("HOST", "NEUTRAL", "LAST HAD"))
    else:
        console.say("no machine is banned" if banned else "no machine is remembered yet")


@app.command("history")
def history(provider: Provider, machine: Machine, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show each time that we had a machine, and how it behaved.

    \b
    Example:
      holdfast machines history vast 20344
    """
    found = with_holdfast(data_dir, lambda holdfast: memory.history(holdfast.temporal, provider, machine))
    if as_json:
        console.print_json(found)
        return
    _show(found)


@app.command("ban")
def ban(
    provider: Provider,
    machine: Machine,
    *,
    lasting: Annotated[str, typer.Option("--for", metavar="TIME", help="How long, such as 48h or 7d.")] = "48h",
    reason: Annotated[str, typer.Option("--reason", help="Why; `holdfast why` shows it.")] = "banned by hand",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Do not rent a machine for a while. What runs on it now goes on.

    \b
    Example:
      holdfast machines ban vast 20344 --for 7d --reason "its disk is slow"
    """
    span = _span(lasting)
    done = with_holdfast(
        data_dir, lambda holdfast: memory.ban(holdfast.temporal, provider, machine, lasting=span, reason=reason)
    )
    if as_json:
        console.print_json(done)
    else:
        console.say(f"{provider} {machine} is not rented until {words.clock(done.banned_until)}: {done.ban_reason}")


@app.command("unban")
def unban(provider: Provider, machine: Machine, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Lift a ban, and forget what was held against the machine until now.

    \b
    Example:
      holdfast machines unban vast 20344
    """
    done = with_holdfast(data_dir, lambda holdfast: memory.unban(holdfast.temporal, provider, machine))
    if as_json:
        console.print_json(done)
    else:
        console.say(f"{provider} {machine} may be rented again")


def _span(given: str) -> timedelta:
    written = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*([hd])", given.strip())
    span = float(written[1]) * _UNITS[written[2]] if written else timedelta()
    if not timedelta() < span <= _LONGEST:
        raise UsageProblem(f"--for {given!r} is no length of time", remedy="give hours or days, such as 48h or 7d")
    return span


def _row(each: MachineMemory) -> tuple[str, ...]:
    return (
        each.provider,
        each.machine_id,
        each.host_id or "—",
        each.gpu or "—",
        str(each.good),
        str(each.bad),
        str(each.neutral),
        words.age(each.last_had),
        _ban(each),
    )


def _ban(each: MachineMemory) -> str:
    return f"until {words.clock(each.banned_until)}: {each.ban_reason}" if each.banned_until else "—"


def _show(found: MachineHistory) -> None:
    known = found.machine
    console.facts(
        {
            "machine": f"{known.provider} {known.machine_id}" + (f" of host {known.host_id}" if known.host_id else ""),
            "gpu": known.gpu or "—",
            "behaved": f"{known.good} good, {known.bad} bad, {known.neutral} neutral",
            "banned": _ban(known),
        }
    )
    if found.stays:
        headers = ("LABEL", "FROM", "UNTIL", "CONDUCT", "WHY IT WAS LET GO")
        console.table(headers, [_stay(each) for each in found.stays], spare=("UNTIL",))


def _stay(each: StayLine) -> tuple[str, ...]:
    conduct = str(each.conduct or "—")
    if each.conduct is Conduct.BAD and each.failed_in:
        conduct += f" ({each.failed_in})"
    return (each.label, words.clock(each.opened_at), words.clock(each.closed_at), conduct, each.reason or "—")
