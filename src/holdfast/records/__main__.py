"""`python -m holdfast.records migrate|current [--url URL]`: set up or upgrade the records, or say where they stand.

Exit codes: 0 done; 1 the records could not be used, with the reason on stderr; 2 wrong arguments; 3 `current` found
records that are not at this code's version.
"""

import argparse
import sys

from holdfast.records import schema, version
from holdfast.records.errors import RecordsError
from holdfast.settings import SettingsError, load_settings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.records", description="Set up or inspect the records.")
    parser.add_argument("command", choices=["migrate", "current"])
    parser.add_argument("--url", help="default: HOLDFAST_RECORDS_URL, or records.db in the data directory")
    given = parser.parse_args(arguments)
    try:
        url = given.url or load_settings().records_location()
        return _migrate(url) if given.command == "migrate" else _current(url)
    except (RecordsError, SettingsError) as err:
        sys.stderr.write(f"{err}\n")
        return 1


def _migrate(url: str) -> int:
    done = schema.migrate(url)
    if done.before == done.after:
        sys.stdout.write(f"the records are at version {done.after}: nothing to do\n")
    else:
        sys.stdout.write(f"the records went from {done.before or 'nothing'} to version {done.after}\n")
    return 0


def _current(url: str) -> int:
    found, needed = version.current(url), version.head()
    sys.stdout.write(f"the records are at {found or 'nothing'}; this code needs version {needed}\n")
    return 0 if found == needed else 3


if __name__ == "__main__":
    sys.exit(main())
