"""What can keep the embedded stack from starting, each with its remedy.

StackError
├── AlreadyRunning    another `up` owns the data directory
├── PortBusy          somebody else listens where we want to
├── ProgramMissing    the `temporal` or `weed` program is not installed
├── BadMarket         the profile of the simulated market cannot be used
└── NotReady          a process of the stack did not come up
"""


class StackError(Exception):
    """The embedded stack cannot do what was asked. `what` happened, and the `remedy` for it."""

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


class AlreadyRunning(StackError):
    """A stack lives on this data directory."""


class PortBusy(StackError):
    """A port that the stack wants is taken."""


class ProgramMissing(StackError):
    """A server program is not installed."""


class BadMarket(StackError):
    """The simulated market's profile cannot be read or says something impossible."""


class NotReady(StackError):
    """A process of the stack failed before it was ready for the first time."""
