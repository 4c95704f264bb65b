"""How Compute Engine says no, and the other answers that are not what was asked for."""

from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

Row = dict[str, Any]
_PAGE = (
    "<!DOCTYPE html><html lang=en><title>Error {0}</title>"
    "<p><b>{0}.</b> <ins>That’s an error.</ins><p>The requested URL was not found on this server.</html>"
)
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


class WireError(Exception):
    """A refusal at once, with the HTTP status of its kind. `reason` is Google's own word for the kind."""

    def __init__(self, status: int, reason: str, words: str, *, domain: str = "global") -> None:
        super().__init__(words)
        self.status = status
        self.reason = reason
        self.words = words
        self.domain = domain

    def row(self) -> Row:
        """The refusal as JSON."""
        entry = {"message": self.words, "domain": self.domain, "reason": self.reason}
        error: Row = {"code": self.status, "message": self.words, "errors": [entry]}
        if status := _STATUSES.get(self.status):
            error["status"] = status
        return {"error": error}

    def response(self) -> Response:
        """The refusal as it goes over the wire."""
        headers = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'} if self.status == 401 else None
        return JSONResponse(self.row(), status_code=self.status, headers=headers)


def invalid(field: str, words: str) -> WireError:
    """A value that cannot be meant."""
    return WireError(400, "invalid", f"Invalid value for field '{field}': {words}")


def not_found(path: str) -> WireError:
    """Nothing is there. `path` begins with `projects/`."""
    return WireError(404, "notFound", f"The resource '{path}' was not found")


def taken(path: str) -> WireError:
    """The name belongs to something already."""
    return WireError(409, "alreadyExists", f"The resource '{path}' already exists")


def in_use(path: str, by: str) -> WireError:
    """Something else holds it."""
    words = f"The {path.split('/')[-2][:-1]} resource '{path}' is already being used by '{by}'"
    return WireError(400, "resourceInUseByAnotherResource", words)


def not_ready(path: str) -> WireError:
    """Another operation is at work on it."""
    return WireError(400, "resourceNotReady", f"The resource '{path}' is not ready")


def stale(what: str) -> WireError:
    """The fingerprint belongs to an older state."""
    words = f"{what} fingerprint either invalid or resource {what.lower()} have changed"
    return WireError(412, "conditionNotMet", words)


def over_quota(metric: str, limit: float, where: str) -> WireError:
    """An allocation quota that is seen when the call comes."""
    words = f"Quota '{metric}' exceeded.  Limit: {limit:.1f} in {where}."
    return WireError(403, "quotaExceeded", words, domain="usageLimits")


def no_answer(zone: str) -> WireError:
    """A zone is down. Of what is in it, nothing may be concluded."""
    return WireError(503, "backendError", f"Zone '{zone}' is unreachable. Please try again.")


def too_frequent(group: str) -> WireError:
    """More calls of a kind in this minute than the project may make."""
    words = (
        f"Quota exceeded for quota metric '{group}' and limit '{group} per minute' of service "
        "'compute.googleapis.com' for consumer 'project_number:481216234210'."
    )
    return WireError(403, "rateLimitExceeded", words, domain="usageLimits")


def gateway_error(status: int) -> Response:
    """What stands in front of the API answers: a page, not JSON."""
    return HTMLResponse(_PAGE.format(status), status_code=status)


def other_shape() -> Response:
    """JSON that answers no question of ours."""
    return JSONResponse({"kind": "compute#somethingElse", "items": "none"})


def failed_as_ok() -> Response:
    """A failure with the status of a success."""
    return JSONResponse(WireError(503, "backendError", "The service is currently unavailable.").row())
