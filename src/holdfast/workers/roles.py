"""The kinds of worker: what each holds, and what nobody else does."""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """One process may play any mix of them."""

    CONTROL = "control"  # workflows and the records
    PROVIDER = "provider"  # the providers' keys and rate limits
    HOST = "host"  # the SSH key, the secrets of the workloads, the store
    ANALYSIS = "analysis"  # CPU work; of ours it holds only the right to read the store
    GATEWAY = "gateway"  # an HTTP server for the callers of endpoints; it holds the SSH key


ALL = "all"
WORKING = frozenset(Role) - {Role.GATEWAY}
"""What `all` stands for: a gateway takes calls from outside, so it runs only where it is asked for by name."""


def parse_roles(given: Iterable[str]) -> frozenset[Role]:
    """Read names such as `control,host`, `all` or `all,gateway`.

    Raises:
        ValueError: a name is not a role; the message lists them.
    """
    words = [word.strip() for text in given for word in text.split(",") if word.strip()]
    if not words:
        return WORKING
    unknown = sorted(set(words) - {*Role, ALL})
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such role; there are {', '.join(Role)} and {ALL}")
    return frozenset(Role(word) for word in words if word != ALL) | (WORKING if ALL in words else frozenset())
