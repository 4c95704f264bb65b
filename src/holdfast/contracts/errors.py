"""Error types that cross the wire. Each exists because the one who receives it acts differently."""

from enum import StrEnum


class ErrorType(StrEnum):
    """`ApplicationError.type` of every failure that our activities and workflows raise on purpose."""

    # Retried by Temporal: the next try may well succeed.
    PROVIDER_UNAVAILABLE = "ProviderUnavailable"
    RATE_LIMITED = "RateLimited"
    STORE_UNAVAILABLE = "StoreUnavailable"
    RECORDS_UNAVAILABLE = "RecordsUnavailable"
    SOURCE_UNAVAILABLE = "SourceUnavailable"  # where a model comes from does not answer
    AGENT_BUSY = "AgentBusy"  # a transfer that nobody waits for any more is still ending there
    HANDED_OVER = "HandedOver"  # the worker is stopping; another one takes the activity over

    # The host did not do what was asked; the workflow weighs evidence or tries another.
    HOST_UNREACHABLE = "HostUnreachable"
    HOST_REFUSED = "HostRefused"  # it answered, and is not what it claims to be, or not ours
    HOST_KEY_CHANGED = "HostKeyChanged"
    AGENT_FAILED = "AgentFailed"
    LEASE_RAN_OUT = "LeaseRanOut"  # nobody could renew it in time, and the machine stopped what had been started
    SERVICE_NOT_READY = "ServiceNotReady"  # its process runs, and its health check was not answered with 2xx in time
    SETUP_FAILED = "SetupFailed"  # the spec's setup command ended with an error

    # Not retried: a person or a different input is needed.
    CREDENTIALS_REFUSED = "CredentialsRefused"
    OUT_OF_CREDIT = "OutOfCredit"
    REQUEST_REJECTED = "RequestRejected"
    SOURCE_REFUSED = "SourceRefused"  # where a model comes from says no, or has what cannot be registered
    SECRET_MISSING = "SecretMissing"  # noqa: S105 (an error type, not a secret)

    # Answers of the workflows.
    NO_OFFERS = "NoOffers"
    OFFER_TAKEN = "OfferTaken"  # another workload has claimed the same offer; nothing was rented
    BUDGET_EXCEEDED = "BudgetExceeded"  # what is left of a budget does not pay for the machine; nothing was rented
    LADDER_EXHAUSTED = "LadderExhausted"
    FENCED = "Fenced"  # a newer epoch owns the workload
    SUPERSEDED = "Superseded"  # another save committed first
    NO_CHECKPOINT = "NoCheckpoint"
    CHECKPOINT_CORRUPT = "CheckpointCorrupt"
    SOURCE_UNSTABLE = "SourceUnstable"  # the workspace kept changing while it was read
    INVALID_STATE = "InvalidState"  # the operation does not fit the workload's state
    WORK_FAILED = "WorkFailed"  # the workload's own command ended with an error


ASK_AGAIN = "there is news that no task has brought yet: ask again"
"""With this a question to a workflow is refused that came at a bad moment. It says nothing of the workflow."""
