"""Looking at the account's instances. Nothing is concluded from an answer that is empty or odd."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.vast.answers import Refused
from holdfast.providers.vast.client import VastClient
from holdfast.providers.vast.endpoints import LIST, SHOW
from holdfast.providers.vast.wire import InstanceRow, read_instance
from holdfast.providers.wrappers.pacing import is_hurried

PAGE = 25
BEARABLE = timedelta(seconds=2.5)
"""A wait that is no queue: `show` may be called every two seconds."""
_IN_ORDER = json.dumps([{"col": "id", "dir": "asc"}])


class Fleet:
    """Reads instances, one or all."""

    def __init__(self, client: VastClient) -> None:
        self._client = client

    async def find(self, number: int) -> InstanceRow | None:
        """One instance, by whichever call may leave first; None when Vast.ai does not know it.

        Who is in no hurry leaves lists to those who rent, who need one to look for their label, and waits a little.
        """
        spares_lists = not is_hurried() and self._client.wait(SHOW) <= BEARABLE
        if not spares_lists and self._client.soonest(SHOW, LIST) is LIST:
            body = await self._page({"id": {"eq": number}}, token=None)
            for row in map(read_instance, _rows(body)):
                if row.id == number:
                    return row
            # Lists lag, and have been seen empty: only `show` can say that it is gone.
        return await self.show(number)

    async def show(self, number: int) -> InstanceRow | None:
        """One instance; None when Vast.ai says that it does not know it."""
        try:
            body = await self._client.call(SHOW, number=number, params={"owner": "me"})
        except Refused as refusal:
            if refusal.no_such_instance:
                return None
            raise
        if not isinstance(body, dict) or "instances" not in body:
            raise ProviderUnavailable(f"Vast.ai answered nothing about instance {number}")
        if body["instances"] is None:
            return None
        row = read_instance(body["instances"])
        if row.id != number:
            raise ProviderUnavailable(f"Vast.ai was asked for instance {number} and answered with {row.id}")
        return row

    async def every(self, label: str | None = None) -> list[InstanceRow]:
        """All instances, or all with exactly this label, oldest first.

        Raises:
            ProviderUnavailable: the pages do not add up to the count that comes with them.
        """
        filters: dict[str, Any] = {} if label is None else {"label": {"eq": label}}
        found: dict[int, InstanceRow] = {}
        token: str | None = None
        tokens: set[str] = set()
        while True:
            body = await self._page(filters, token=token)
            found |= {row.id: row for row in map(read_instance, _rows(body))}
            if not body.get("next_token"):
                break
            token = str(body["next_token"])  # an odd answer may hold anything here
            if token in tokens:
                raise ProviderUnavailable("the pages of Vast.ai's list go round in a circle")
            tokens.add(token)
        _check_count(body, len(found))
        return [row for _, row in sorted(found.items()) if label is None or row.label == label]

    async def _page(self, filters: Mapping[str, Any], *, token: str | None) -> dict[str, Any]:
        params = {"limit": str(PAGE), "order_by": _IN_ORDER}
        if filters:
            params["select_filters"] = json.dumps(filters)
        if token is not None:
            params["after_token"] = token
        body = await self._client.call(LIST, params=params)
        if not isinstance(body, dict):
            raise ProviderUnavailable("Vast.ai's list of instances is no list")
        return body


def _rows(body: Mapping[str, Any]) -> list[Any]:
    rows = body.get("instances")
    if not isinstance(rows, list):
        raise ProviderUnavailable("Vast.ai's list of instances is no list")
    return rows


def _check_count(body: Mapping[str, Any], seen: int) -> None:
    found, total = body.get("instances_found"), body.get("total_instances")
    if not isinstance(found, int) or not isinstance(total, int) or not seen == found <= total:
        raise ProviderUnavailable(f"Vast.ai listed {seen} instances and counts {found} of {total}")
