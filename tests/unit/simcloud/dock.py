"""A bare client of TensorDock's wire API, so that the API is tested and not a client of ours."""

import ssl
from typing import Any

import asyncssh
import httpx

from tests.simmarket import RunningMarket
from tests.unit.simcloud.conftest import until

GPU = "geforcertx4090-pcie-24gb"
Row = dict[str, Any]


class Docker:
    """The account's owner."""

    def __init__(self, market: RunningMarket, key: asyncssh.SSHKey) -> None:
        no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        headers = {"Authorization": f"Bearer {market.api_key}"}
        self._legacy = {"api_key": market.api_key, "api_token": market.api_key}
        url = f"{market.base_url}/tensordock/api"
        self.http = httpx.Client(base_url=f"{url}/v2", headers=headers, timeout=30, trust_env=False, verify=no_tls)
        self.older = httpx.Client(base_url=f"{url}/v0", timeout=30, trust_env=False, verify=no_tls)
        self.key = key

    def close(self) -> None:
        self.http.close()
        self.older.close()

    def nodes(self, model: str = GPU, count: int = 1) -> list[Row]:
        """The nodes on which so many GPUs of a model can be had."""
        found: list[Row] = self.http.get("/hostnodes").raise_for_status().json()["data"]["hostnodes"]
        return [node for node in found if available(node, model) >= count]

    def node(self, number: str) -> Row:
        found: Row = self.http.get(f"/hostnodes/{number}").raise_for_status().json()["data"]
        return found

    def wanted(self, **changes: Any) -> Row:
        """The attributes of an order that can be met."""
        node = self.nodes()[0]
        return {
            "name": "job.e1",
            "type": "virtualmachine",
            "image": "ubuntu2404_ml_pytorch",
            "resources": resources(),
            "hostnode_id": node["id"],
            "port_forwards": [
                {"internal_port": 22, "external_port": node["available_resources"]["available_ports"][0]}
            ],
            "ssh_key": self.key.export_public_key().decode(),
        } | changes

    def order(self, **changes: Any) -> httpx.Response:
        """The raw answer to a deploy; None leaves an attribute out."""
        wanted = {name: value for name, value in self.wanted(**changes).items() if value is not None}
        return self.http.post("/instances", json={"data": {"type": "virtualmachine", "attributes": wanted}})

    def deploy(self, **changes: Any) -> str:
        """Deploy a machine and return its id."""
        answer = self.order(**changes).raise_for_status().json()
        return str(flat(answer)["id"])

    def show(self, number: str) -> Row:
        """One machine, its status in plain letters."""
        return flat(self.http.get(f"/instances/{number}").raise_for_status().json())

    def status(self, number: str) -> str:
        return str(self.show(number)["status"]).lower()

    def deploy_running(self, **changes: Any) -> str:
        """Deploy and wait until it runs."""
        number = self.deploy(**changes)
        until(lambda: self.status(number) == "running")
        return number

    def legacy(self, path: str, **fields: str) -> Row:
        """A call of the older API."""
        found: Row = self.older.post(path, data=self._legacy | fields).raise_for_status().json()
        return found

    async def ssh(self, number: str, login: str = "user") -> asyncssh.SSHClientConnection:
        row = self.show(number)
        (port,) = [each["external_port"] for each in row["portForwards"] if each["internal_port"] == 22]
        return await asyncssh.connect(
            row["ipAddress"], port, username=login, client_keys=[self.key], known_hosts=None, config=None
        )


def resources(*, gpus: int = 1, model: str = GPU, **changes: Any) -> Row:
    """What a machine is to be made of."""
    return {"vcpu_count": 8, "ram_gb": 32, "storage_gb": 150, "gpus": {model: {"count": gpus}}} | changes


def available(node: Row, model: str = GPU) -> int:
    """How many GPUs of a model the largest machine on a node can have."""
    return sum(int(gpu["availableCount"]) for gpu in node["available_resources"]["gpus"] if gpu["v0Name"] == model)


def flat(body: Row) -> Row:
    """One thing, out of its envelope."""
    thing: Row = body.get("data", body)
    return thing | thing.get("attributes", {})
