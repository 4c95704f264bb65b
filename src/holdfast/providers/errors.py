"""What can go wrong at a provider, split by what the caller does next.

ProviderError
├── ProviderUnavailable   try again later; nothing is known to have changed
│   └── RateLimited       try again after `retry_after`
├── LaunchUnsettled       the order may or may not have rented: try again, the label finds what it rented
├── CredentialsRefused    ask a person
├── OutOfCredit           ask a person
└── RequestRejected       our request is wrong: a retry cannot help
"""

from datetime import timedelta


class ProviderError(Exception):
    """Any failure of a provider's API. The message is fit for people and never holds a key."""


class ProviderUnavailable(ProviderError):
    """No usable answer: connection lost, time-out, 5xx, a body that is not what was promised."""


class RateLimited(ProviderUnavailable):
    """The provider wants us to slow down."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LaunchUnsettled(ProviderError):
    """The answer to a launch was lost, and the label was not (yet) found afterwards."""


class CredentialsRefused(ProviderError):
    """The key is wrong, revoked, or may not do this."""


class OutOfCredit(ProviderError):
    """The account cannot pay for it."""


class RequestRejected(ProviderError):
    """The provider understood the request and will never accept it."""
