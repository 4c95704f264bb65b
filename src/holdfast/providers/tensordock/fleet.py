"""Looking at the account's machines. Nothing is concluded from an answer that is empty or odd."""

import re

from holdfast.contracts.machines import InstanceState
from holdfast.providers.errors import ProviderUnavailable, RequestRejected
from holdfast.providers.tensordock.answers import NotFound
from holdfast.providers.tensordock.client import TensorDockClient
from holdfast.providers.tensordock.endpoints import LIST, SHOW
from holdfast.providers.tensordock.states import state_of
from holdfast.providers.tensordock.wire import InstanceRow, many_of, one_of, read_instance

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class Fleet:
    """Reads machines, one or all."""

    def __init__(self, client: TensorDockClient) -> None:
        self._client = client

    async def find(self, number: str) -> InstanceRow | None:
        """One machine; None when TensorDock says that it does not know it, or that it is deleted.

        A list may lag, or be empty by mistake: it is never asked whether a machine is gone.
        """
        try:
            body = await self._client.call(SHOW, about=checked(number))
        except NotFound:
            return None
        row = read_instance(one_of(body))
        if row.id != number:
            raise ProviderUnavailable(f"TensorDock was asked for machine {number} and answered with {row.id}")
        return None if state_of(row) is InstanceState.GONE else row

    async def every(self, label: str | None = None) -> list[InstanceRow]:
        """All machines, or all with exactly this name, in TensorDock's order."""
        rows = map(read_instance, many_of(await self._client.call(LIST), "instances"))
        there = (row for row in rows if state_of(row) is not InstanceState.GONE)
        return [row for row in there if label is None or row.name == label]


def checked(number: str) -> str:
    """An id that can be part of a path. Raises RequestRejected for what is none."""
    if not _ID.fullmatch(number):
        raise RequestRejected(f"{number!r} is no machine of TensorDock")
    return number
