"""Names and addresses of things, and how times and numbers are spelt."""

import re
from datetime import datetime

from holdfast.simcloud.gcp.envelopes import WireError, invalid

PROJECT = "holdfast-sim"
_SITE = "https://www.googleapis.com/compute/v1/"
_FIRST_ID = 1_180_000_000_000_000_000
_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"[a-z][-_a-z0-9]{0,62}")
_LABEL_VALUE = re.compile(r"[-_a-z0-9]{0,63}")


def path(*parts: str) -> str:
    """The path of something in the project, such as `projects/…/zones/…/instances/…`."""
    return "/".join(("projects", PROJECT, *parts))


def link(resource: str) -> str:
    """The full address of a path, as answers have it."""
    return f"{_SITE}{resource}"


def last(reference: object) -> str:
    """The last part of a full or partial address: what it names."""
    return str(reference or "").rstrip("/").rsplit("/", 1)[-1]


def region_of(zone: str) -> str:
    """The region in which a zone lies."""
    return zone.rsplit("-", 1)[0]


def wire_id(number: int) -> str:
    """A number of the market as the API tells it: 64 bits, and a string in JSON."""
    return str(_FIRST_ID + number)


def time(moment: datetime) -> str:
    """A moment as the API tells it."""
    return moment.isoformat(timespec="milliseconds")


def a_name(value: object, field: str = "resource.name") -> str:
    """A name that something may have. Raises WireError (400)."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        pattern = "(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)"
        raise invalid(field, f"'{value}'. Must be a match of regex '{pattern}'")
    return value


def labels(value: object, field: str = "resource.labels") -> dict[str, str]:
    """Labels that something may wear. Raises WireError (400)."""
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > 64:
        raise invalid(field, "must be a map of at most 64 labels")
    for key, word in value.items():
        if not _LABEL_KEY.fullmatch(key) or not isinstance(word, str) or not _LABEL_VALUE.fullmatch(word):
            raise invalid(field, f"'{key}: {word}'. Only lowercase letters, digits, dashes and underscores are allowed")
    return dict(value)


def whole(value: object, field: str, *, least: int = 1, most: int = 65_536) -> int:
    """A number that JSON has as a string or as a number. Raises WireError (400)."""
    try:
        found = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    except ValueError:
        found = None
    if found is None or not least <= found <= most:
        raise invalid(field, f"'{value}'. Must be a whole number from {least} to {most}")
    return found


def required(value: object, field: str) -> object:
    """A value that must be there. Raises WireError (400)."""
    if value is None or value == "":
        raise WireError(400, "required", f"Required field '{field}' not specified")
    return value
