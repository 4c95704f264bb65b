"""The one table from error to exit code and hint, and the one place that prints errors.

Classes are named, not imported: a command that fails early must not load what it never needed to say so.
"""

import os
import sys
import tempfile
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

USAGE: Final = 2
DIFFERS: Final = 22
DRILL_FAILED: Final = 23
INTERNAL: Final = 70
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141


@dataclass(frozen=True)
class Row:
    """What one kind of error comes to on the command line."""

    error: str  # full name of the class; subclasses count, the nearest row wins
    code: int
    meaning: str
    remedy: str = ""  # used when the error itself brings none


START_MARKET: Final = "`holdfast up` runs a simulated market, `holdfast sim instances` lists its machines"
MIGRATE: Final = "`holdfast records migrate` sets them up; `holdfast doctor` checks them"
TABLE: Final = (
    Row("typer._click.exceptions.ClickException", USAGE, "the command line cannot be understood"),
    Row("holdfast.client.errors.FolderNotEmpty", USAGE, "the folder to restore into holds something"),
    Row("holdfast.client.errors.FolderUnusable", USAGE, "the folder to restore into cannot be written"),
    Row("holdfast.client.errors.ModelInvalid", USAGE, "a model's name, source or folder cannot be used"),
    Row("holdfast.client.errors.NoSuchTime", USAGE, "a time ends before it begins, or has not begun"),
    Row("holdfast.client.errors.DeploymentInvalid", USAGE, "a model cannot be deployed as asked; nothing was rented"),
    Row("holdfast.market.errors.BadHistory", USAGE, "a price history cannot be read"),
    Row("holdfast.client.errors.SpecInvalid", 3, "the spec has mistakes; nothing was rented"),
    Row("holdfast.client.errors.TuningInvalid", 3, "a fine-tuning cannot be done as asked; nothing was rented"),
    Row("holdfast.client.errors.DatasetInvalid", 3, "a data set cannot be trained on; nothing was rented"),
    Row("holdfast.client.errors.UnknownWorkload", 4, "no workload of this name"),
    Row("holdfast.client.errors.UnknownIncident", 4, "no incident of this epoch"),
    Row("holdfast.client.errors.UnknownPool", 4, "no pool of this name"),
    Row("holdfast.client.errors.UnknownEndpoint", 4, "no endpoint of this name"),
    Row("holdfast.client.errors.UnknownDeployment", 4, "no deployment of this name"),
    Row("holdfast.client.errors.UnknownMachine", 4, "no machine of this id is remembered"),
    Row("holdfast.client.errors.UnknownJob", 4, "no job of this name"),
    Row("holdfast.client.errors.UnknownTuning", 4, "no fine-tuning of this name"),
    Row("holdfast.client.errors.UnknownGpu", 4, "no price of this GPU is on record"),
    Row("holdfast.client.errors.NoPrices", 4, "no price is on record for what was asked"),
    Row("holdfast.client.errors.UnknownReference", 4, "no reference price of this name"),
    Row("holdfast.client.errors.UnknownModel", 4, "no model of this name, or no such version"),
    Row("holdfast.market.errors.NoHistory", 4, "no price of such a GPU, or none at all"),
    Row("holdfast.client.errors.NoOffers", 5, "no machine fits within the limits; nothing was rented"),
    Row("holdfast.client.errors.TooLarge", 5, "no GPU for rent has enough memory; nothing was rented"),
    Row("holdfast.client.errors.SecretMissing", 6, "a secret that the spec names is not there; nothing was rented"),
    Row("holdfast.client.errors.CredentialsRefused", 6, "a provider does not accept the key"),
    Row("holdfast.client.errors.OutOfCredit", 6, "the provider's account has no credit left"),
    Row("holdfast.client.errors.StoreUnavailable", 7, "the object store cannot be used"),
    Row("holdfast.client.errors.TemporalUnavailable", 8, "no Temporal server answers"),
    Row("holdfast.workers.stack.errors.PortBusy", 9, "a port is taken by another program"),
    Row("holdfast.simcloud.server.PortTaken", 9, "a port is taken by another program", "choose another --port"),
    Row("holdfast.client.errors.InvalidState", 10, "the operation does not fit the workload's state"),
    Row("holdfast.client.errors.NoWorker", 11, "no worker takes the work"),
    Row("holdfast.client.errors.AlreadyRunning", 12, "a workload of this name is running"),
    Row("holdfast.workers.stack.errors.AlreadyRunning", 12, "a stack is running on this data directory"),
    Row("holdfast.client.errors.ProviderUnavailable", 13, "a provider's API gives no usable answer"),
    Row("holdfast.client.errors.RecordsUnavailable", 14, "the records database cannot be used"),
    Row("holdfast.records.errors.RecordsError", 14, "the records database cannot be used", MIGRATE),
    Row("holdfast.client.errors.NoCheckpoint", 15, "no such committed checkpoint"),
    Row("holdfast.client.errors.CheckpointCorrupt", 16, "bytes of a checkpoint are missing or changed"),
    Row("holdfast.client.errors.Unanswered", 17, "no answer in time; whether it happened is unknown"),
    Row("holdfast.client.errors.NoProvider", 18, "no provider is configured"),
    Row("holdfast.simcloud.control.SimError", 19, "the simulated market does not answer, or refuses", START_MARKET),
    Row("holdfast.workers.stack.errors.StackError", 20, "the embedded stack cannot start or stop"),
    Row("holdfast.client.errors.BudgetExceeded", 21, "a budget does not pay for a machine; nothing was rented"),
    Row(
        "holdfast.client.errors.SourceRefused", 27, "the source of a model or an input says no; nothing was registered"
    ),
    Row("holdfast.client.errors.SourceUnavailable", 28, "the source of a model or an input does not answer"),
    Row("holdfast.client.errors.DeploymentFailed", 29, "a new version was not fit; what served before serves on"),
    Row("holdfast.client.errors.NoReceiver", 78, "a setting cannot be used"),
    Row("holdfast.client.errors.HoldfastError", 1, "the operation was tried and failed"),
    Row("holdfast.settings.SettingsError", 78, "a setting cannot be used"),
    Row("holdfast.embedded.StackUnreadable", 78, "a setting cannot be used"),
)
OTHER_CODES: Final = {
    0: "done",
    1: "the operation was tried and failed; the workload failed; a check of `doctor` failed",
    DIFFERS: "`why --recompute`: a decision comes out otherwise than it is on record",
    DRILL_FAILED: "`drill`: the work did not move, or not within its objective; it runs, and nothing is lost",
    40: "`job wait`, `job submit --follow`: the job's command ended with an error",
    41: "likewise: its setup did, on a machine",
    42: "likewise: an input is missing, or is not what the spec pins",
    43: "likewise: its command ended well, and an output that the spec names is not there",
    44: "likewise: nothing for rent fits its spec",
    45: "likewise: machine after machine was lost, and its policy had no way to another",
    46: "likewise: its budget is used up; its state is saved",
    47: "likewise: it was late, by `when_late: stop` or `stop_after`; its state is saved",
    48: "likewise: somebody cancelled it",
    49: "likewise: its last state could not be saved",
    50: "likewise: an error nobody foresaw, or its workload was ended by force",
    INTERNAL: "an error nobody foresaw; the traceback is in the log that is named",
    BROKEN_PIPE: "who read the output, such as `head`, wanted no more of it",
    INTERRUPTED: "interrupted from the keyboard; what was ordered goes on",
}


JOB_ENDS: Final = {
    "done": 0,
    "code": 40,
    "setup": 41,
    "input": 42,
    "output": 43,
    "no_machine": 44,
    "lost": 45,
    "budget": 46,
    "late": 47,
    "asked": 48,
    "store": 49,
    "internal": 50,
}
"""How `job wait` and `job submit --follow` tell why a job ended, by its cause."""


class UsageProblem(Exception):
    """An argument that the parser accepts cannot be used. `remedy` says what can."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def row_for(err: BaseException) -> Row | None:
    """The table's row for an error, by its class or the nearest base class."""
    if isinstance(err, UsageProblem):
        return TABLE[0]
    for kind in type(err).__mro__:
        for row in TABLE:
            if row.error == f"{kind.__module__}.{kind.__qualname__}":
                return row
    return None


def report(err: BaseException, *, debug: bool) -> int:
    """Print an error for a person, on stderr, and return the exit code it stands for."""
    if isinstance(err, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(err, BrokenPipeError) or isinstance(err.__context__, BrokenPipeError):
        return BROKEN_PIPE  # the parser makes a mere failure of it
    if isinstance(err, SystemExit):
        return err.code if isinstance(err.code, int) else 1
    row = row_for(err)
    if row is None:
        return _report_unforeseen(err, debug)
    if debug:
        traceback.print_exception(err)
    _print_known(err, row)
    return row.code


def _print_known(err: BaseException, row: Row) -> None:
    show = getattr(err, "show", None)
    if callable(show):  # the parser's own errors know the usage line and the option
        show()
        return
    message = str(getattr(err, "what", "") or err)
    remedy = getattr(err, "remedy", "") or row.remedy
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 (this is the command line's voice)
    if remedy:
        print(f"hint: {remedy}", file=sys.stderr)  # noqa: T201 (as above)


def _report_unforeseen(err: BaseException, debug: bool) -> int:
    text = "".join(traceback.format_exception(err))
    where = _keep(text)
    shown = text if debug else f"error: {type(err).__name__}: {err}\n"
    sys.stderr.write(shown)
    sys.stderr.write(f"hint: this is a mistake in Holdfast; please report it with {where}\n")
    return INTERNAL


def _keep(text: str) -> Path:
    """Append a traceback to the data directory's log, or to a temporary file where there is none."""
    logs = Path(os.environ.get("HOLDFAST_DATA_DIR", ".holdfast")) / "logs"
    path = (logs if logs.is_dir() else Path(tempfile.gettempdir())) / f"holdfast-cli-{os.getuid()}.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "a") as out:
        out.write(f"{datetime.now(UTC).isoformat()} {' '.join(sys.argv[1:2])}\n{text}\n")
    return path
