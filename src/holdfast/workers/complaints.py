"""What keeps a worker from starting: said in words, with a remedy, and with the exit code of the `holdfast` command."""

import sys
from typing import Final

from holdfast.client.errors import NoProvider, TemporalUnavailable
from holdfast.records.errors import RecordsError, RecordsUnavailable
from holdfast.settings import SettingsError

EXIT_CODES: Final[dict[type[Exception], int]] = {
    TemporalUnavailable: 8,
    RecordsError: 14,
    NoProvider: 18,
    SettingsError: 78,
}
EXPECTED: Final = tuple(EXIT_CODES)


def complain(err: Exception) -> int:
    """Print an expected error and its remedy on stderr, and return the exit code that it stands for."""
    sys.stderr.write(f"error: {err}\n")
    if remedy := _remedy(err):
        sys.stderr.write(f"hint: {remedy}\n")
    return next(code for kind, code in EXIT_CODES.items() if isinstance(err, kind))


def _remedy(err: Exception) -> str:
    if isinstance(err, RecordsUnavailable):
        return "check HOLDFAST_RECORDS_URL, and that the database there runs"
    return getattr(err, "remedy", "")  # the others name it in their message
