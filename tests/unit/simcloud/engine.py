"""A bare client of Compute Engine's wire API, so that the API is tested and not a client of ours."""

import base64
import json
import ssl
import time
import uuid
from typing import Any

import asyncssh
import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.simmarket import RunningMarket
from tests.unit.simcloud.conftest import until

ZONE = "us-central1-a"
SCOPE = "https://www.googleapis.com/auth/compute"
IMAGE = "projects/deeplearning-platform-release/global/images/family/common-cu124"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SSH_PORT = 22022
Row = dict[str, Any]


class Engineer:
    """The project's owner."""

    def __init__(self, market: RunningMarket, key: asyncssh.SSHKey) -> None:
        no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.key = key
        self.key_file: Row = json.loads((market.data_dir / "gcp-key.json").read_text())
        self.base_url = f"{market.base_url}/gcp"
        self.bare = httpx.Client(base_url=self.base_url, timeout=30, trust_env=False, verify=no_tls)
        self.url = f"{self.base_url}/compute/v1/projects/{self.key_file['project_id']}"
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False, verify=no_tls)
        self.log_in()

    def close(self) -> None:
        self.bare.close()
        self.http.close()

    def log_in(self) -> None:
        """Get a fresh token."""
        token = self.exchange(self.assertion()).raise_for_status().json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"

    def assertion(self, key: rsa.RSAPrivateKey | None = None, **changes: Any) -> str:
        """What google-auth signs, or another."""
        now, known = int(time.time()), serialization.load_pem_private_key(self.key_file["private_key"].encode(), None)
        assert isinstance(known, rsa.RSAPrivateKey)
        claims = {"iss": self.key_file["client_email"], "aud": self.key_file["token_uri"], "scope": SCOPE}
        claims |= {"iat": now, "exp": now + 3600} | changes
        signed = f"{_encoded({'alg': 'RS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        return f"{signed}.{_text((key or known).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def exchange(self, assertion: str, grant: str = GRANT) -> httpx.Response:
        return self.bare.post("/token", data={"grant_type": grant, "assertion": assertion})

    def project(self) -> Row:
        found: Row = self.http.get(self.url).raise_for_status().json()
        return found

    def get(self, path: str, **query: Any) -> Row:
        found: Row = self.http.get(path, params=query).raise_for_status().json()
        return found

    def wanted(self, name: str = "job-e1", zone: str = ZONE, kind: str = "g2-standard-4", **changes: Any) -> Row:
        """An order that can be met; None leaves a field out."""
        keys = f"ops:{self.key.export_public_key().decode().strip()}"
        body = {
            "name": name,
            "machineType": f"zones/{zone}/machineTypes/{kind}",
            "scheduling": spot(),
            "disks": [boot_disk()],
            "networkInterfaces": [
                {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
            ],
            "labels": {"holdfast": "job_e1"},
            "metadata": {"items": [{"key": "ssh-keys", "value": keys}]},
        } | changes
        return {field: value for field, value in body.items() if value is not None}

    def order(self, zone: str = ZONE, request: str | None = None, **changes: Any) -> httpx.Response:
        """The raw answer to an insert."""
        query = {} if request is None else {"requestId": request}
        return self.http.post(f"/zones/{zone}/instances", params=query, json=self.wanted(zone=zone, **changes))

    def insert(self, name: str = "job-e1", zone: str = ZONE, **changes: Any) -> Row:
        """Insert a machine, see its operation to a good end, and return the machine."""
        self.well(self.order(zone, name=name, **changes))
        return self.show(name, zone)

    def insert_running(self, name: str = "job-e1", zone: str = ZONE, **changes: Any) -> Row:
        self.insert(name, zone, **changes)
        return self.until_status("RUNNING", name, zone)

    def show(self, name: str = "job-e1", zone: str = ZONE) -> Row:
        return self.get(f"/zones/{zone}/instances/{name}")

    def status(self, name: str = "job-e1", zone: str = ZONE) -> str:
        return str(self.show(name, zone)["status"])

    def until_status(self, status: str, name: str = "job-e1", zone: str = ZONE) -> Row:
        until(lambda: self.status(name, zone) == status)
        return self.show(name, zone)

    def act(self, verb: str, name: str = "job-e1", zone: str = ZONE, **body: Any) -> httpx.Response:
        """The raw answer to an action on a machine."""
        return self.http.post(f"/zones/{zone}/instances/{name}/{verb}", json=body or None)

    def delete(self, name: str = "job-e1", zone: str = ZONE) -> httpx.Response:
        return self.http.delete(f"/zones/{zone}/instances/{name}", params={"requestId": str(uuid.uuid4())})

    def done(self, answer: httpx.Response) -> Row:
        """An operation at its end."""
        operation: Row = answer.raise_for_status().json()
        path = operation["selfLink"].partition(self.key_file["project_id"])[2]
        give_up = time.monotonic() + 30
        while operation["status"] != "DONE":
            assert time.monotonic() < give_up, operation
            operation = self.http.post(f"{path}/wait").raise_for_status().json()
        return operation

    def well(self, answer: httpx.Response) -> Row:
        """An operation at its good end."""
        operation = self.done(answer)
        assert "error" not in operation, operation
        return operation

    def preemptions(self, zone: str = ZONE) -> list[Row]:
        """What the system has taken back."""
        query = 'operationType="compute.instances.preempted"'
        return list(self.get(f"/zones/{zone}/operations", filter=query).get("items", []))

    async def ssh(self, name: str = "job-e1", login: str = "ops", zone: str = ZONE) -> asyncssh.SSHClientConnection:
        address = self.show(name, zone)["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
        return await asyncssh.connect(
            address, SSH_PORT, username=login, client_keys=[self.key], known_hosts=None, config=None
        )


def spot(**changes: Any) -> Row:
    return {
        "provisioningModel": "SPOT",
        "instanceTerminationAction": "STOP",
        "onHostMaintenance": "TERMINATE",
        "automaticRestart": False,
    } | changes


def on_demand(**changes: Any) -> Row:
    return {"provisioningModel": "STANDARD", "onHostMaintenance": "TERMINATE", "automaticRestart": False} | changes


def boot_disk(size: str = "100", *, auto_delete: bool = True, **new: Any) -> Row:
    made = {"sourceImage": IMAGE, "diskSizeGb": size, "diskType": f"zones/{ZONE}/diskTypes/pd-balanced"} | new
    made = {field: value for field, value in made.items() if value is not None}
    return {"boot": True, "autoDelete": auto_delete, "initializeParams": made}


def reason(answer: httpx.Response) -> tuple[int, str]:
    """Status and Google's own word of a refusal."""
    return answer.status_code, answer.json()["error"]["errors"][0]["reason"]


def _encoded(part: Row) -> str:
    return _text(json.dumps(part).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
