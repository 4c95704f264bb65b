"""Failures as the other side sees them: a kind that it can act on, and words for a person.

Kinds: `bad_request`, `unknown_method`, `busy`, `fenced`, `not_running`, `already_running`, `start_failed`,
`setup_failed`, `stopped`, `hook_failed`, `deadman`, `disk_full`, `no_permission`, `cancelled`, `control_lost`,
`failed`. Transfers add their own.
"""

import contextlib
import errno
import os

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class AgentFailure(Exception):
    """Something the agent refuses or cannot do. `kind` is one of the documented names."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def tell(words: str) -> None:
    """Say it in this process's own log. On a full disk the words are lost, and nothing else."""
    with contextlib.suppress(OSError):
        os.write(2, words.encode() + b"\n")  # past any buffer: what stays in one fails once more, at the exit


def as_failure(error: BaseException) -> AgentFailure:
    """Give any exception its kind."""
    if isinstance(error, AgentFailure):
        return error
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return AgentFailure("disk_full", f"no space left on the machine's disk: {error}")
    if isinstance(error, PermissionError):
        return AgentFailure("no_permission", str(error))
    if isinstance(error, (KeyError, TypeError, ValueError)):
        return AgentFailure("bad_request", f"{type(error).__name__}: {error}")
    return AgentFailure("failed", f"{type(error).__name__}: {error}")
