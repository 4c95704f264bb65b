"""Temporal's errors, turned into ours; nobody else in the client looks into them."""

from collections.abc import Mapping

from temporalio.exceptions import ApplicationError, TimeoutError, TimeoutType
from temporalio.service import RPCError, RPCStatusCode

from holdfast.client.connection import unavailable
from holdfast.client.errors import (
    BudgetExceeded,
    CheckpointCorrupt,
    CredentialsRefused,
    HoldfastError,
    InvalidState,
    NoCheckpoint,
    NoOffers,
    NoWorker,
    OperationFailed,
    OutOfCredit,
    ProviderUnavailable,
    RecordsUnavailable,
    SecretMissing,
    SourceRefused,
    SourceUnavailable,
    StoreUnavailable,
    Unanswered,
)
from holdfast.contracts.errors import ErrorType

_BY_TYPE: Mapping[str, type[HoldfastError]] = {
    ErrorType.PROVIDER_UNAVAILABLE: ProviderUnavailable,
    ErrorType.RATE_LIMITED: ProviderUnavailable,
    ErrorType.STORE_UNAVAILABLE: StoreUnavailable,
    ErrorType.RECORDS_UNAVAILABLE: RecordsUnavailable,
    ErrorType.CREDENTIALS_REFUSED: CredentialsRefused,
    ErrorType.OUT_OF_CREDIT: OutOfCredit,
    ErrorType.NO_OFFERS: NoOffers,
    ErrorType.BUDGET_EXCEEDED: BudgetExceeded,
    ErrorType.SECRET_MISSING: SecretMissing,
    ErrorType.SOURCE_REFUSED: SourceRefused,
    ErrorType.SOURCE_UNAVAILABLE: SourceUnavailable,
    ErrorType.NO_CHECKPOINT: NoCheckpoint,
    ErrorType.CHECKPOINT_CORRUPT: CheckpointCorrupt,
    ErrorType.INVALID_STATE: InvalidState,
    ErrorType.FENCED: InvalidState,
}
_SERVER_IS_AWAY = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.UNKNOWN, RPCStatusCode.UNAUTHENTICATED)


def from_failure(cause: BaseException | None, *, doing: str, queue: str) -> HoldfastError:
    """The error for an activity or an update that failed, by the reason it carries."""
    if isinstance(cause, TimeoutError):
        return _too_late(cause, doing, queue)
    root = _application_error(cause)
    if root is None:
        return OperationFailed(f"{doing} failed: {cause}")
    known = _BY_TYPE.get(root.type or "", OperationFailed)
    remedy = root.details[0] if known is SourceRefused and root.details else None
    return known(root.message, remedy=remedy)


def from_rpc(err: RPCError, address: str) -> HoldfastError:
    """The error for a call that the server itself did not carry out."""
    if err.status is RPCStatusCode.FAILED_PRECONDITION and "poller" in err.message:
        return NoWorker("no worker has asked for control work lately")
    if is_timeout(err):
        return Unanswered(f"the Temporal server at {address} did not answer in time")
    if err.status is RPCStatusCode.NOT_FOUND and "amespace" in err.message:
        return unavailable(address, err)
    if err.status in _SERVER_IS_AWAY:
        return unavailable(address, err)
    return OperationFailed(f"the Temporal server refused: {err.message}")


def is_timeout(err: RPCError) -> bool:
    """Whether a call ran out of time.

    The SDK calls its own limit a cancellation; a server that is first to see it drops the stream, which reads as a
    protocol error.
    """
    ours = err.status is RPCStatusCode.CANCELLED and "imeout" in err.message
    return ours or err.status is RPCStatusCode.DEADLINE_EXCEEDED or "h2 protocol error" in err.message


def is_not_found(err: RPCError) -> bool:
    """Whether the server knows no such workflow. Of a namespace that is missing it says NOT_FOUND, too."""
    return err.status is RPCStatusCode.NOT_FOUND and "amespace" not in err.message


def _too_late(cause: TimeoutError, doing: str, queue: str) -> HoldfastError:
    if cause.type is TimeoutType.SCHEDULE_TO_START:
        return NoWorker(f"no worker took {doing} from the queue {queue!r}")
    return Unanswered(f"{doing} did not answer in time")


def _application_error(cause: BaseException | None) -> ApplicationError | None:
    """The innermost reason with a type: workflows wrap what their activities raised."""
    found: ApplicationError | None = None
    while cause is not None:
        if isinstance(cause, ApplicationError):
            found = cause
            if cause.type in _BY_TYPE:
                return cause
        cause = cause.__cause__
    return found
