"""What a failed step was about."""

from temporalio.exceptions import ActivityError, ApplicationError


def kind_of(err: BaseException) -> str | None:
    """The `ErrorType` with which an activity failed; None for a time-out, a cancel and anything unforeseen."""
    cause = err.cause if isinstance(err, ActivityError) else err
    return cause.type if isinstance(cause, ApplicationError) else None


def words_of(err: BaseException) -> str:
    """The failure in words fit for people, without the wrapping."""
    cause = err.cause if isinstance(err, ActivityError) else err
    return cause.message if isinstance(cause, ApplicationError) else str(cause or err)
