"""Who calls: the account's key file, and the tokens that it is exchanged for.

The key file is made at the market's first start, beside its database, as Google's console hands one out. Tokens carry
their own end and a seal, so that a market that was started anew knows them.
"""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from holdfast.embedded import GOOGLE_KEY_FILE
from holdfast.simcloud.gcp.envelopes import WireError
from holdfast.simcloud.gcp.names import PROJECT
from holdfast.simcloud.hosts.folder import write_private
from holdfast.simcloud.sim import Sim

_BITS = 2048
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIVES = 3600  # seconds
_MARK = "ya29.sim"
_SCOPES = ("https://www.googleapis.com/auth/compute", "https://www.googleapis.com/auth/cloud-platform")
_API = "https://compute.googleapis.com/"
_GENERATION = "tokens"


@dataclass(frozen=True)
class Account:
    """The service account that the market knows."""

    email: str
    key_id: str
    public: rsa.RSAPublicKey


def open_account(folder: Path, token_uri: str) -> Account:
    """The account of the key file in a folder, which is made where there is none. Its `token_uri` is kept right."""
    file = folder / GOOGLE_KEY_FILE
    found = json.loads(file.read_text()) if file.exists() else _fresh()
    if found.get("token_uri") != token_uri:  # the market's port may be another one today
        found["token_uri"] = token_uri
        write_private(file, json.dumps(found, indent=2))
    # Nobody but the market writes the file, and to check a key takes ten times as long as to read it.
    private = serialization.load_pem_private_key(
        found["private_key"].encode(), password=None, unsafe_skip_rsa_key_validation=True
    )
    assert isinstance(private, rsa.RSAPrivateKey), "the market's own key file holds an RSA key"
    return Account(found["client_email"], found["private_key_id"], private.public_key())


async def exchange(sim: Sim, account: Account, request: Request) -> Response:
    """The token endpoint: a signed assertion for a token."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    grant, assertion = form.get("grant_type", [""])[0], form.get("assertion", [""])[0]
    if grant != _GRANT:
        return _refused("unsupported_grant_type", f"Invalid grant_type: {grant}")
    if (wrong := _wrong(account, assertion)) is not None:
        return _refused("invalid_grant", wrong)
    issued = int(sim.clock.now().timestamp())
    token = f"{_MARK}.{issued + _LIVES}.{_seal(sim, issued + _LIVES)}"
    # Google answers one second less than it gives.
    return JSONResponse({"access_token": token, "expires_in": _LIVES - 1, "token_type": "Bearer"})


def authenticate(sim: Sim, account: Account, request: Request) -> None:
    """Raises WireError (401) for a caller without a token that is good now.

    An assertion of the account's own may stand in a token's place, as Google's clients like to do.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not token:
        words = "Request is missing required authentication credential."
        raise WireError(401, "required", f"{words} Expected OAuth 2 access token.")
    end, _, seal = token.removeprefix(f"{_MARK}.").partition(".")
    if scheme.lower() == "bearer" and not token.startswith(_MARK) and _wrong(account, token, for_itself=True) is None:
        return
    good = scheme.lower() == "bearer" and end.isdigit() and hmac.compare_digest(seal, _seal(sim, int(end)))
    if not good or sim.clock.now().timestamp() >= int(end):
        raise WireError(401, "authError", "Request had invalid authentication credentials. Invalid Credentials")


def expire_all(sim: Sim) -> None:
    """No token that was given out is good any more."""
    account = sim.store.account()
    account.notes[_GENERATION] = _generation(sim) + 1
    sim.store.put_account(account)


def _generation(sim: Sim) -> int:
    return int(sim.store.account().notes.get(_GENERATION, 0))


def _seal(sim: Sim, end: int) -> str:
    secret = hashlib.sha256(f"gcp tokens {sim.control_token}".encode()).digest()
    return hmac.new(secret, f"{_generation(sim)}.{end}".encode(), hashlib.sha256).hexdigest()


def _wrong(account: Account, assertion: str, *, for_itself: bool = False) -> str | None:
    """What is wrong with an assertion, in the endpoint's words; None if nothing is.

    One that stands `for_itself` may name the API in place of a scope.
    """
    try:
        head, body, signature = assertion.split(".")
        header, claims = json.loads(_decoded(head)), json.loads(_decoded(body))
        account.public.verify(_decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return "Invalid JWT Signature."
    except (ValueError, TypeError):
        return "Invalid JWT: Failed to decode the token."
    if not isinstance(header, dict) or not isinstance(claims, dict) or header.get("alg") != "RS256":
        return "Invalid JWT: Only RS256 is supported."
    if claims.get("iss") != account.email:
        return "Invalid grant: account not found"
    if not isinstance(claims.get("exp"), int | float) or claims["exp"] < time.time() - 60:
        return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
    if for_itself and str(claims.get("aud", "")).startswith(_API):
        return None
    if not any(scope in str(claims.get("scope", "")).split() for scope in _SCOPES):
        return "Invalid OAuth scope or ID token audience provided."
    return None


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _refused(error: str, words: str) -> Response:
    return JSONResponse({"error": error, "error_description": words}, status_code=400)


def _fresh() -> dict[str, Any]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": hashlib.sha1(pem, usedforsecurity=False).hexdigest(),
        "private_key": pem.decode(),
        "client_email": f"holdfast@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "104812162342100000001",
        "universe_domain": "googleapis.com",
    }
