"""The client of a market's control API, for the CLI and for tests.

Targets are an instance id, a label, or a workload's name. Every call returns when the market's machines have followed.
"""

import ssl
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from holdfast.simcloud.config import FIRST
from holdfast.simcloud.model import Flaw, Trouble

Report = dict[str, Any]
_PATIENCE = 30.0  # seconds; killing a tree on a busy computer takes its time


class SimError(Exception):
    """The market refused; the message is for people. Remedy: what it says."""


class SimUnreachable(SimError):
    """No market answers at the address. Remedy: start it."""


class SimControl:
    """Acts on a running market. Close it after use, or use it as a context manager."""

    def __init__(self, base_url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # empty: plain HTTP on loopback needs no authorities loaded
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=_PATIENCE, trust_env=False, verify=no_tls)

    @classmethod
    def of_data_dir(cls, data_dir: Path) -> Self:
        """The control of the market that runs on a data directory. Raises SimUnreachable when none ever did."""
        try:
            port = (data_dir / "market.port").read_text().strip()
            token = (data_dir / "control.token").read_text().strip()
        except FileNotFoundError as missing:
            raise SimUnreachable(f"no simulated market keeps its data in {data_dir}") from missing
        return cls(f"http://127.0.0.1:{port}", token)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Machines

    def kill(self, target: str | int, *, word_lag: timedelta = timedelta(0), word: str = "exited") -> list[int]:
        """The host dies without notice. The provider says ``word`` (exited or offline) ``word_lag`` later."""
        return self._pull(target, "kill", word_lag=word_lag.total_seconds(), word=word)

    def outbid(self, target: str | int, *, bid: Decimal | None = None, lasting: timedelta | None = None) -> list[int]:
        """A rival bids more, for a while or for good."""
        return self._pull(target, "outbid", bid=None if bid is None else float(bid), seconds=_seconds(lasting))

    def take(self, target: str | int, *, lasting: timedelta | None = None) -> list[int]:
        """A rival rents the GPUs on demand: a stopped instance finds them taken when it starts."""
        return self._pull(target, "take", seconds=_seconds(lasting))

    def release(self, target: str | int) -> list[int]:
        """The rival leaves."""
        return self._pull(target, "release")

    def preempt(self, target: str | int, *, notice: timedelta | None = None) -> list[int]:
        """Google takes a Spot machine back: it is asked to shut down, and is down after ``notice`` (default 30 s)."""
        return self._pull(target, "preempt", notice=_seconds(notice))

    def disassociate(self, target: str | int) -> list[int]:
        """The provider sells the GPUs that a stopped machine still holds, as TensorDock's hosts may."""
        return self._pull(target, "disassociate")

    def partition(self, target: str | int) -> list[int]:
        """Cut the network: connections hang, the work goes on."""
        return self._pull(target, "partition")

    def slow(self, target: str | int, *, bytes_per_second: int) -> list[int]:
        """Throttle the network."""
        return self._pull(target, "slow", bytes_per_second=bytes_per_second)

    def heal(self, target: str | int) -> list[int]:
        """Undo ``partition`` and ``slow``."""
        return self._pull(target, "heal")

    def offline(self, target: str | int) -> list[int]:
        """The machine is unreachable, and the provider says so. Nothing is billed; the work goes on."""
        return self._pull(target, "offline")

    def online(self, target: str | int) -> list[int]:
        """Undo ``offline``."""
        return self._pull(target, "online")

    def end_contract(self, target: str | int) -> list[int]:
        """The host's contract ends now: the instance stops and cannot start again."""
        return self._pull(target, "end-contract")

    def gpu_load(self, target: str | int, *, percent: int | None) -> list[int]:
        """Make nvidia-smi report this load; None lets it report the machine's real CPU use again."""
        return self._pull(target, "gpu-load", percent=percent)

    def relabel(self, target: str | int, label: str) -> list[int]:
        """Give a machine another label, as somebody else with the account's key could."""
        return self._pull(target, "relabel", label=label)

    def instances(self) -> list[Report]:
        """The living instances: the truth (``state``) beside the provider's word (``said``)."""
        return list(self._call("GET", "/sim/instances")["instances"])

    def destroy(self, target: str | int) -> list[int]:
        """End a tenancy, as somebody else with the account's key could."""
        return self._pull(target, "destroy")

    def destroy_all(self) -> None:
        """End every tenancy."""
        self._call("DELETE", "/sim/instances")

    # Money

    def bill(self) -> Report:
        """Every instance that ever existed with its periods and exact costs (strings of decimal dollars)."""
        return self._call("GET", "/sim/bill")

    def alive_at(self, moment: datetime) -> list[int]:
        """The instances that existed at a moment."""
        return list(self._call("GET", "/sim/alive", params={"at": moment.isoformat()})["instances"])

    # Offers

    def offers(self) -> list[Report]:
        """Every slot of the market with its state."""
        return list(self._call("GET", "/sim/offers")["offers"])

    def add_offer(self, **line: object) -> Report:
        """One more slot, with the fields of a profile's line."""
        return self._call("POST", "/sim/offers", json=line)

    def change_offer(
        self,
        slot: int,
        *,
        price: Decimal | None = None,
        min_bid: Decimal | None = None,
        withdrawn: bool | None = None,
    ) -> Report:
        """Change what a slot asks, or take it off the market."""
        prices = {"price": price, "min_bid": min_bid}
        change: dict[str, object] = {name: str(value) for name, value in prices.items() if value is not None}
        if withdrawn is not None:
            change["withdrawn"] = withdrawn
        return self._call("PATCH", f"/sim/offers/{slot}", json=change)

    def set_flaw(self, slot: int, flaw: Flaw | None) -> Report:
        """Make a slot's machine bad from its next boot on, or good again."""
        return self._call("PATCH", f"/sim/offers/{slot}", json={"flaw": flaw})

    # The API's own failures

    def add_fault(
        self,
        trouble: Trouble,
        *,
        endpoint: str | None = None,
        times: int | None = None,
        lasting: timedelta | None = None,
        status: int = 502,
        seconds: float = 0.0,
        provider: str = FIRST,
    ) -> Report:
        """Script an API failure: the next ``times`` calls, or all while ``lasting``; with neither, the next call.

        ``endpoint`` is a name from the wire layer's table, such as ``rent`` or ``list``; None means all. ``status`` is
        for HTTP_ERROR, ``seconds`` for LATENCY.
        """
        body: dict[str, object] = {
            "provider": provider,
            "trouble": trouble,
            "endpoint": endpoint,
            "status": status,
            "seconds": seconds,
        }
        if lasting is not None:
            body["lasting"] = lasting.total_seconds()
        if times is not None or lasting is not None:
            body["times"] = times
        return self._call("POST", "/sim/faults", json=body)

    def faults(self) -> list[Report]:
        """The failures that can still strike."""
        return list(self._call("GET", "/sim/faults")["faults"])

    def clear_faults(self) -> None:
        """Forget all scripted API failures."""
        self._call("DELETE", "/sim/faults")

    def set_listing_lag(self, lag: timedelta, *, provider: str = FIRST) -> None:
        """From now on, new instances appear in listings only after this time."""
        self._call("PATCH", "/sim/account", json={"provider": provider, "listing_lag": lag.total_seconds()})

    def set_credit(self, credit: Decimal, *, provider: str = FIRST) -> None:
        """Set the account's credit before the bill."""
        self._call("PATCH", "/sim/account", json={"provider": provider, "credit": str(credit)})

    # What only Compute Engine has

    def set_capacity(
        self, zone: str, *, kind: str | None = None, available: int | None = None, lasting: timedelta | None = None
    ) -> int:
        """Leave room for so many machines in a zone, of one machine type or of each; None: the usual room again.

        Returns how many slots were taken or freed. Machines that run keep theirs.
        """
        options = {"zone": zone, "kind": kind, "available": available, "seconds": _seconds(lasting)}
        return int(self._turn("gcp", "capacity", **options)["changed"])

    def set_quota(self, metric: str, limit: float | None, *, region: str | None = None, late: bool = False) -> None:
        """Set a quota's limit; None: the usual one again. With ``late`` a breach is told by the operation only."""
        self._turn("gcp", "quota", metric=metric, limit=limit, region=region, late=late)

    def expire_tokens(self) -> None:
        """No access token that was given out is good any more."""
        self._turn("gcp", "expire-tokens")

    def set_unreachable(self, zone: str, *, unreachable: bool = True) -> None:
        """A zone does not answer: lists over all zones are partial, or fail."""
        self._turn("gcp", "unreachable", zone=zone, unreachable=unreachable)

    def _turn(self, provider: str, knob: str, **options: object) -> Report:
        return self._call("POST", f"/sim/knobs/{knob}", json={"provider": provider} | options)

    def _pull(self, target: str | int, lever: str, **options: object) -> list[int]:
        given = {name: value for name, value in options.items() if value is not None}
        return list(self._call("POST", f"/sim/instances/{target}/{lever}", json=given)["instances"])

    def _call(self, method: str, path: str, **request: Any) -> Report:
        try:
            response = self._http.request(method, path, **request)
        except httpx.TransportError as failure:
            raise SimUnreachable(f"the simulated market at {self._http.base_url} does not answer") from failure
        found: Report = response.json()
        if response.is_error:
            raise SimError(str(found.get("error")))
        return found


def _seconds(time: timedelta | None) -> float | None:
    return None if time is None else time.total_seconds()
