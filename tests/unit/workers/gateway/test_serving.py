"""Where a gateway listens, and how."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry

from holdfast.hosts.wires import Straight
from holdfast.settings import GatewaySettings, SettingsError
from holdfast.telemetry.gateway_metrics import GatewayMetrics
from holdfast.workers.gateway.app import Gateway
from holdfast.workers.gateway.serving import Server
from tests.unit.workers.gateway.conftest import Running
from tests.unit.workers.gateway.desk import TOKEN, Desk


def server(desk: Desk, settings: GatewaySettings) -> Server:
    metrics = GatewayMetrics(CollectorRegistry())
    return Server(Gateway(desk, Straight(), metrics, name="g", refresh=timedelta(seconds=5), room=1_000_000), settings)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return cert_file, key_file


async def test_with_a_certificate_it_speaks_tls(desk: Desk, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    async with server(desk, GatewaySettings(cert=cert, key=key)) as serving:
        assert serving.url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(cert))
        async with httpx.AsyncClient(verify=trust, timeout=30) as http:
            answer = await http.get(f"{serving.url}/chat/", headers={"authorization": f"Bearer {TOKEN}"})
            assert answer.status_code == 200
            assert dict(answer.json()["headers"])["x-forwarded-proto"] == "https"


async def test_a_key_that_cannot_be_used_is_a_wrong_setting(desk: Desk, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no key")
    with pytest.raises(SettingsError, match="HOLDFAST_GATEWAY__CERT"):
        await server(desk, GatewaySettings(cert=broken, key=broken)).__aenter__()


async def test_an_address_that_is_not_ours_is_a_wrong_setting(desk: Desk) -> None:
    with pytest.raises(SettingsError, match="HOLDFAST_GATEWAY__PORT"):
        await server(desk, GatewaySettings(bind="203.0.113.1")).__aenter__()


async def test_it_is_ready_once_the_directory_was_read(gateway: Running) -> None:
    assert await gateway.server.check() is None


async def test_it_is_not_ready_while_the_directory_cannot_be_read() -> None:
    desk = Desk(away="the server is down")
    async with server(desk, GatewaySettings()) as serving:
        assert await serving.check() == "the server is down"
    assert await serving.check() == "it does not listen"


def test_a_certificate_without_its_key_is_refused(certificate: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="cert and key go together"):
        GatewaySettings(cert=certificate[0])
    with pytest.raises(ValueError, match="there is no file"):
        GatewaySettings(cert=certificate[0], key=Path("/nowhere/key.pem"))
