"""Letting our SSH key into the machines."""

from typing import Any

from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.vast.answers import Refused
from holdfast.providers.vast.client import VastClient
from holdfast.providers.vast.endpoints import ADD_KEY, ATTACH_KEY, KEYS


class SshKeys:
    """Account keys are copied into an instance when it is created; later ones must be attached."""

    def __init__(self, client: VastClient) -> None:
        self._client = client

    async def ensure(self, public_key: str) -> None:
        """Have the key on the account. Two processes may add it twice, which harms nobody.

        Asks Vast.ai each time: the account's owner may have removed it, and no machine would let us in.
        """
        if _identity(public_key) not in await self._listed():
            await self._client.call(ADD_KEY, body={"ssh_key": public_key.strip()})

    async def attach(self, number: int, public_key: str) -> None:
        """Let the key into an instance that exists. May be repeated."""
        try:
            await self._client.call(ATTACH_KEY, number=number, body={"ssh_key": public_key.strip()})
        except Refused as refusal:
            if "already" not in str(refusal).lower():
                raise

    async def _listed(self) -> set[str]:
        try:
            rows = await self._client.call(KEYS)
        except Refused as refusal:
            if refusal.status == 404:  # how Vast.ai says that there are none
                return set()
            raise
        if not isinstance(rows, list):
            raise ProviderUnavailable("Vast.ai's list of SSH keys is no list")
        return {_identity(text) for text in map(_text, rows) if text}


def _text(row: Any) -> str:
    return str(row.get("key") or row.get("public_key") or "") if isinstance(row, dict) else ""


def _identity(public_key: str) -> str:
    """Type and key without the comment, which may differ."""
    return " ".join(public_key.split()[:2])
