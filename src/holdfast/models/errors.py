"""What can go wrong with a model's source, split by what the caller does next.

SourceError
├── SourceUnavailable   try again later: no usable answer, or bytes that are not the promised ones
└── SourceRefused       ask a person: not there, not allowed, not a model, no room for it
"""


class SourceError(Exception):
    """The message is fit for people, names no token, and holds no signed address."""


class SourceUnavailable(SourceError):
    """No usable answer from the source."""


class SourceRefused(SourceError):
    """The source said no, or what it has cannot be registered. `remedy` is for people; "": the usual one."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
