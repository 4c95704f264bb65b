"""What Vast.ai charges, added up machine by machine."""

import json
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from holdfast.contracts.money import Charge
from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.vast.client import VastClient
from holdfast.providers.vast.endpoints import CHARGES
from holdfast.providers.vast.wire import ChargeRow, read_charge

PAGE = 500
_INSTANCE = "instance-"


async def charges(client: VastClient, *, since: datetime, until: datetime) -> list[Charge]:
    """Every instance on the bill between two moments; of what else is charged nothing is told.

    Raises:
        ProviderUnavailable: the pages do not add up to the count that comes with them.
    """
    bill: dict[str, Decimal] = defaultdict(Decimal)
    for row in await _rows(client, since, until):
        if row.source.startswith(_INSTANCE):
            bill[row.source.removeprefix(_INSTANCE)] += row.amount
    return [Charge(instance_id=instance, amount=amount) for instance, amount in sorted(bill.items())]


async def _rows(client: VastClient, since: datetime, until: datetime) -> list[ChargeRow]:
    days = {"day": {"gte": int(since.timestamp()), "lte": int(until.timestamp()) + 1}}
    params = {"select_filters": json.dumps(days), "limit": str(PAGE)}
    found: list[ChargeRow] = []
    tokens: list[str] = []
    while True:
        body = await client.call(CHARGES, params=params | ({"after_token": tokens[-1]} if tokens else {}))
        found += map(read_charge, _results(body))
        token = body.get("next_token")
        if not token:
            return _counted(found, body)
        if token in tokens:
            raise ProviderUnavailable("the pages of Vast.ai's bill go round in a circle")
        tokens.append(token)


def _results(body: Any) -> list[Any]:
    rows = body.get("results") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise ProviderUnavailable("Vast.ai's bill is no list")
    return rows


def _counted(found: list[ChargeRow], body: dict[str, Any]) -> list[ChargeRow]:
    total = body.get("total")
    if isinstance(total, int) and total != len(found):
        raise ProviderUnavailable(f"Vast.ai told {len(found)} charges and counts {total}")
    return found
