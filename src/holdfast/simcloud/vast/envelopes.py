"""The shapes in which Vast.ai says no."""

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

_GATEWAY = "<html><head><title>{0} {1}</title></head>\r\n<body><center><h1>{0} {1}</h1></center></body></html>\r\n"
_REASONS = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


class WireError(Exception):
    """An answer that is a refusal, in the usual envelope."""

    def __init__(self, status: int, error: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"success": False, "error": error, "msg": message, **more}

    def response(self) -> Response:
        """The refusal as it goes over the wire."""
        return JSONResponse(self.body, status_code=self.status)


def no_such_instance(number: object) -> WireError:
    """The instance never was, or is destroyed."""
    return WireError(404, "no_such_instance", f"Instance {number} not found.")


def no_such_call(method: str, path: str) -> WireError:
    """The market does not have this call. The code is not one of those that say that an instance is gone."""
    words = f"the simulated market does not have {method} {path}; docs/simulated-market.md lists the calls that it has"
    return WireError(404, "invalid_request", f"error 404/1000: {words}")


def gateway_error(status: int) -> Response:
    """What a proxy in front of the API answers: HTML, not JSON."""
    return HTMLResponse(_GATEWAY.format(status, _REASONS.get(status, "Error")), status_code=status)


def other_shape() -> Response:
    """JSON that answers no question of ours."""
    return JSONResponse({"answer": [42]})


def refused_as_ok() -> Response:
    """A failure in the envelope, with the status of a success."""
    return JSONResponse({"success": False, "error": "internal_error", "msg": "error 500/1010: try again later"})


def too_frequent(style: str, threshold: float) -> Response:
    """A 429 in the body style of the endpoint: ``text``, ``detail`` or ``envelope``. It never says Retry-After."""
    words = "API requests too frequent"
    if not threshold:  # a cap on calls names no interval
        return PlainTextResponse(words, status_code=429)
    if style == "detail":
        return JSONResponse({"detail": f"{words} endpoint threshold={threshold}"}, status_code=429)
    if style == "envelope":
        body = {"success": False, "error": "rate_limit_exceeded", "msg": f"{words}: endpoint threshold={threshold}"}
        return JSONResponse(body, status_code=429)
    return PlainTextResponse(f"{words}: endpoint threshold={threshold}", status_code=429)
