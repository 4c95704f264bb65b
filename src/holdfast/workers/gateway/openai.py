"""What of `/v1` is the gateway's own: which endpoint a request is for, and which models there are."""

import json
from collections.abc import Iterable

from pydantic_core import from_json

from holdfast.contracts.endpoints import EndpointCard
from holdfast.workers.gateway.answers import Refusal

_OWNER = "holdfast"


def model_in(body: bytes) -> str:
    """The field `model` of a JSON document. Raises Refusal."""
    try:
        found = from_json(body)
    except ValueError as err:
        raise Refusal(400, "invalid_json", f"the body is not JSON: {err}") from None
    model = found.get("model") if isinstance(found, dict) else None
    if not isinstance(model, str) or not model:
        told = "the body has no field `model` that tells who is to answer; /<endpoint>/v1/… needs none"
        raise Refusal(400, "model_missing", told)
    return model


def unknown(model: str) -> Refusal:
    """404, in the words that also hold when it exists and is somebody else's."""
    told = f"there is no model {model[:80]!r}, or this token does not open it; GET /v1/models lists those that it does"
    return Refusal(404, "model_not_found", told)


def models_of(cards: Iterable[EndpointCard]) -> list[str]:
    """Every name under which these endpoints answer."""
    return list(dict.fromkeys(name for card in cards for name in (*card.models, *card.aliases, card.name)))


def listing(models: Iterable[str]) -> bytes:
    """The answer of GET /v1/models."""
    return json.dumps({"object": "list", "data": [_model(each) for each in models]}).encode()


def one(model: str) -> bytes:
    """The answer of GET /v1/models/<model>."""
    return json.dumps(_model(model)).encode()


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": _OWNER}
