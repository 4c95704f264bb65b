"""Which files of a workspace are the outputs of a job."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase


def chosen(paths: Iterable[str], patterns: Sequence[str], inputs: Sequence[str]) -> frozenset[str]:
    """The paths that a pattern names, itself or by the folder above; without patterns all but the inputs."""
    if not patterns:
        return frozenset(each for each in paths if not any(is_below(each, place) for place in inputs))
    return frozenset(each for each in paths if any(matches(each, pattern) for pattern in patterns))


def missing(paths: Iterable[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns that name nothing."""
    there = tuple(paths)
    return tuple(pattern for pattern in patterns if not any(matches(each, pattern) for each in there))


def matches(path: str, pattern: str) -> bool:
    """`*` stands for anything, slashes included; a folder stands for all that is in it."""
    return fnmatchcase(path, pattern) or is_below(path, pattern.rstrip("/")) or fnmatchcase(path, f"{pattern}/*")


def is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
