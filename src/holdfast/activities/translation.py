"""From our rooms' errors to what Temporal carries: the one place where an error gets its wire type and its remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio.exceptions import ApplicationError

from holdfast.checkpoints import errors as store
from holdfast.contracts.channel import AgentError, ChannelLost
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.hearsay import LONGEST_MESSAGE, words
from holdfast.hosts import errors as host
from holdfast.models import errors as model
from holdfast.providers import errors as provider
from holdfast.records import errors as record

RETRY, GIVE_UP = False, True

# First match wins: a class stands before its parent.
TABLE: tuple[tuple[type[Exception], ErrorType, bool], ...] = (
    (provider.RateLimited, ErrorType.RATE_LIMITED, RETRY),
    (provider.ProviderUnavailable, ErrorType.PROVIDER_UNAVAILABLE, RETRY),
    (provider.LaunchUnsettled, ErrorType.PROVIDER_UNAVAILABLE, RETRY),
    (provider.CredentialsRefused, ErrorType.CREDENTIALS_REFUSED, GIVE_UP),
    (provider.OutOfCredit, ErrorType.OUT_OF_CREDIT, GIVE_UP),
    (provider.RequestRejected, ErrorType.REQUEST_REJECTED, GIVE_UP),
    # Whether a host's answer is final is for the caller to say: `workflows/steps.py` names those types.
    (host.HostKeyChanged, ErrorType.HOST_KEY_CHANGED, RETRY),
    (host.HostRefused, ErrorType.HOST_REFUSED, RETRY),
    (host.LoginRefused, ErrorType.HOST_REFUSED, RETRY),
    (host.HostError, ErrorType.HOST_UNREACHABLE, RETRY),
    (ChannelLost, ErrorType.HOST_UNREACHABLE, RETRY),
    (AgentError, ErrorType.AGENT_FAILED, RETRY),
    (store.StoreUnavailable, ErrorType.STORE_UNAVAILABLE, RETRY),
    (store.StoreRefused, ErrorType.CREDENTIALS_REFUSED, GIVE_UP),
    (store.CheckpointCorrupt, ErrorType.CHECKPOINT_CORRUPT, GIVE_UP),
    (store.NoCheckpoint, ErrorType.NO_CHECKPOINT, GIVE_UP),
    (store.SourceUnstable, ErrorType.SOURCE_UNSTABLE, RETRY),
    (model.SourceUnavailable, ErrorType.SOURCE_UNAVAILABLE, RETRY),
    (model.SourceRefused, ErrorType.SOURCE_REFUSED, GIVE_UP),
    (record.Fenced, ErrorType.FENCED, GIVE_UP),
    (record.Superseded, ErrorType.SUPERSEDED, GIVE_UP),
    (record.OfferTaken, ErrorType.OFFER_TAKEN, GIVE_UP),
    (record.BudgetExceeded, ErrorType.BUDGET_EXCEEDED, GIVE_UP),
    (record.UnknownModel, ErrorType.REQUEST_REJECTED, GIVE_UP),
    (record.UnknownWorkload, ErrorType.REQUEST_REJECTED, GIVE_UP),
    (record.RecordsError, ErrorType.RECORDS_UNAVAILABLE, RETRY),
)
BY_AGENT = {
    "busy": (ErrorType.AGENT_BUSY, RETRY),
    "fenced": (ErrorType.FENCED, GIVE_UP),
    "setup_failed": (ErrorType.SETUP_FAILED, GIVE_UP),
    "stopped": (ErrorType.HOST_REFUSED, RETRY),  # the machine ended the setup, which proves nothing against the spec
    "deadman": (ErrorType.LEASE_RAN_OUT, GIVE_UP),
}
OURS = tuple(kind for kind, _, _ in TABLE)


def to_wire(err: Exception) -> ApplicationError:
    """The `ApplicationError` for one of our errors, with its type, whether a retry may help, and when."""
    kind, final = next((wire, final) for mine, wire, final in TABLE if isinstance(err, mine))
    if isinstance(err, AgentError):
        kind, final = BY_AGENT.get(err.kind, (kind, final))
    wait: timedelta | None = err.retry_after if isinstance(err, provider.RateLimited) else None
    told = words(str(err), LONGEST_MESSAGE) or type(err).__name__  # much of it may be a machine's own
    remedy = (err.remedy,) if isinstance(err, model.SourceRefused) and err.remedy else ()
    return ApplicationError(told, *remedy, type=kind, non_retryable=final, next_retry_delay=wait)


@contextmanager
def translated() -> Iterator[None]:
    """Whatever of our errors leaves the block leaves it with its wire type; anything else is a bug and stays one."""
    try:
        yield
    except OURS as err:
        raise to_wire(err) from err
