"""Looking at the project's machines. Nothing is concluded from an answer that is empty, partial or odd."""

from collections import defaultdict
from collections.abc import Iterable

from holdfast.providers.errors import CredentialsRefused, ProviderUnavailable, RequestRejected
from holdfast.providers.gcp.answers import NotFound
from holdfast.providers.gcp.client import GcpClient
from holdfast.providers.gcp.endpoints import LIST, OPERATIONS, SHOW
from holdfast.providers.gcp.kinds import by_zone, last_part
from holdfast.providers.gcp.names import LABEL_KEY, label_of, parts_of, wire_label
from holdfast.providers.gcp.states import BY_SYSTEM, TERMINATED, label_worn
from holdfast.providers.gcp.wire import InstanceRow, OperationRow, read_instance, read_operation

_NEWEST = "500"
_ENDINGS = (*BY_SYSTEM, "stop")


class Fleet:
    """Reads machines, one or all, and what the system did to them."""

    def __init__(self, client: GcpClient) -> None:
        self._client = client

    async def find(self, number: str) -> InstanceRow | None:
        """One machine; None when Google says that it does not know it."""
        zone, name = checked(number)
        await self._require_project(number)
        try:
            row = read_instance(await self._client.call(SHOW, zone=zone, name=name))
        except NotFound as unknown:
            if _is_about(unknown, name):
                return None
            raise ProviderUnavailable(f"Google does not find where {number} would be: {unknown}") from unknown
        if (last_part(row.zone), row.name) != (zone, name):
            raise ProviderUnavailable(f"Google was asked for {number} and answered with {row.name}")
        return row

    async def _require_project(self, number: str) -> None:
        theirs, ours = number.split("/", 1)[0], await self._client.project()
        if theirs != ours:
            raise CredentialsRefused(f"{number} stands in project {theirs}, and the settings are for project {ours}")

    async def every(self, label: str | None = None) -> list[InstanceRow]:
        """All machines of the project, or all with exactly this label."""
        params = {"maxResults": _NEWEST, "returnPartialSuccess": "true"}
        if label is not None:
            params["filter"] = f"labels.{LABEL_KEY}={wire_label(label)}"
        zones = by_zone(await self._client.pages(LIST, **params), "instances")
        rows = [read_instance(thing) for things in zones.values() for thing in things]
        return [row for row in rows if label is None or label_of(label_worn(row)) == label]

    async def endings(self, rows: Iterable[InstanceRow]) -> dict[str, OperationRow]:
        """By a machine's number: who switched it off since it was started, as far as its zone's operations tell."""
        off: dict[str, list[InstanceRow]] = defaultdict(list)
        for row in rows:
            if row.status == TERMINATED:
                off[last_part(row.zone)].append(row)
        found: dict[str, OperationRow] = {}
        for zone, theirs in off.items():
            happened = await self._happened(zone)
            for row in theirs:
                later = [each for each in happened if each.target_id == row.id and not _is_older(each, row)]
                if later:
                    found[row.id] = max(later, key=_moment)
        return found

    async def _happened(self, zone: str) -> list[OperationRow]:
        params = {"maxResults": _NEWEST, "orderBy": "creationTimestamp desc"}
        items = (await self._client.call(OPERATIONS, zone=zone, params=params)).get("items", [])
        every = [read_operation(each) for each in items] if isinstance(items, list) else []
        return [each for each in every if each.operation_type in _ENDINGS]


def _is_older(ending: OperationRow, row: InstanceRow) -> bool:
    started = row.last_start_timestamp
    return started is not None and ending.insert_time is not None and ending.insert_time < started


def _moment(row: OperationRow) -> float:
    return 0.0 if row.insert_time is None else row.insert_time.timestamp()


def checked(number: str) -> tuple[str, str]:
    """The zone and name of an instance's id. Raises RequestRejected for what is none."""
    parts = parts_of(number)
    if parts is None:
        raise RequestRejected(f"{number!r} is no machine of Google's: it would be project/zone/name")
    return parts[1], parts[2]


def _is_about(unknown: NotFound, name: str) -> bool:
    """Whether it is the machine that is not found, and not its zone or the project."""
    return f"/instances/{name}'" in str(unknown)
