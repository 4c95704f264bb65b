"""From our labels to what Google lets names and labels be, and back. No two labels become one.

A label travels as an instance label, with `_` for `.`, which no label of ours holds. The instance's name is what makes
an order repeatable: Google gives a name once in a zone.
"""

import hashlib
import re
import uuid

LABEL_KEY = "holdfast"
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_OURS = re.compile(r"(?P<workload>.+)\.e(?P<epoch>\d+)(\.(?P<mark>[a-z0-9]+))?")
_LABEL = re.compile(r"[a-z0-9.-]{1,63}")
_ID = re.compile(r"(?P<project>[a-z][a-z0-9.:-]{2,99})/(?P<zone>[a-z][a-z0-9-]{2,40})/(?P<name>[a-z][-a-z0-9]{0,62})")
_SPACE = uuid.UUID("a2a1d2cf-0c8f-4a5e-8c47-5f0a4c8a7f11")


def wire_label(label: str) -> str:
    """A label as an instance's label value. Raises ValueError for one that cannot be written so."""
    if not _LABEL.fullmatch(label):
        raise ValueError(f"{label!r} cannot be a label at Google: at most 63 of a-z, 0-9, '-' and '.'")
    return label.replace(".", "_")


def label_of(value: str | None) -> str | None:
    """The label that an instance wears; None for one that is not ours."""
    return None if value is None else value.replace("_", ".")


def is_name(text: str) -> bool:
    """Whether Google takes this for a name."""
    return _NAME.fullmatch(text) is not None


def name_of(label: str) -> str:
    """The instance's name: readable, and another for each label."""
    found = _OURS.fullmatch(label)
    plain = label.replace(".", "-")
    # Only with a mark can the parts be told apart from the end: without one, `a.e1` and `a-e1` might meet.
    if found and found["mark"] and len(found["mark"]) == 4 and _NAME.fullmatch(plain):
        return plain
    digest = hashlib.sha256(label.encode()).hexdigest()[:16]
    return f"h-{re.sub('[^a-z0-9]', '-', plain)[:40].strip('-')}-{digest}"


def request_id(label: str, what: str) -> str:
    """The id of a write that may be repeated: the same for the same label and purpose."""
    return str(uuid.uuid5(_SPACE, f"{label}/{what}"))


def instance_id(project: str, zone: str, name: str) -> str:
    """How we call an instance. Without its project, it would seem gone as soon as the settings name another one."""
    return f"{project}/{zone}/{name}"


def parts_of(number: str) -> tuple[str, str, str] | None:
    """The project, zone and name of an instance's id; None for what is none."""
    found = _ID.fullmatch(number)
    return (found["project"], found["zone"], found["name"]) if found else None
