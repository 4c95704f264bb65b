"""What a failed step was about."""

from temporalio.exceptions import ActivityError, ApplicationError

from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import Conduct

HOPELESS = (
    ErrorType.SECRET_MISSING,
    ErrorType.CREDENTIALS_REFUSED,
    ErrorType.OUT_OF_CREDIT,
    ErrorType.NO_CHECKPOINT,
    ErrorType.CHECKPOINT_CORRUPT,
    ErrorType.FENCED,
)
"""What no other machine can mend."""
_MACHINE_FAILED = (ErrorType.HOST_UNREACHABLE, ErrorType.HOST_REFUSED, ErrorType.HOST_KEY_CHANGED)


def kind_of(err: BaseException) -> str | None:
    """The `ErrorType` with which an activity failed; None for a time-out, a cancel and anything unforeseen."""
    cause = err.cause if isinstance(err, ActivityError) else err
    return cause.type if isinstance(cause, ApplicationError) else None


def step_of(err: ActivityError) -> str:
    """The step that failed; of one that is made of several, which of them."""
    cause = err.cause
    if err.activity_type == "resume_work" and isinstance(cause, ApplicationError) and cause.details:
        return str(cause.details[0])
    return err.activity_type


def words_of(err: BaseException) -> str:
    """The failure in words fit for people, without the wrapping."""
    cause = err.cause if isinstance(err, ActivityError) else err
    return cause.message if isinstance(cause, ApplicationError) else str(cause or err)


def conduct_in(err: BaseException) -> Conduct:
    """Whether the machine is to blame for a step that failed. Not for the spec, the market, the store or ourselves."""
    return Conduct.BAD if kind_of(err) in _MACHINE_FAILED else Conduct.NEUTRAL
