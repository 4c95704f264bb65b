"""How a market is started."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from holdfast.simcloud.hosts.folder import write_private

FIRST = "vast"
"""The provider whose market bears no name in the folder: it was there before the others."""
INSTANCES = "instances"


@dataclass(frozen=True, kw_only=True)
class SimConfig:
    """Where a market lives and how it is reached.

    Without an ``api_key`` one is made at the first start and kept in ``<data_dir>/api.key`` (mode 0600). Hosts outlive
    the market; with ``orphan_after`` they end themselves when no market has run for that long.
    """

    data_dir: Path
    port: int = 0
    profile: Path | None = None
    api_key: str | None = None
    orphan_after: timedelta | None = None

    def database(self, provider: str) -> Path:
        """The memory of one provider's market."""
        return self.data_dir / ("market.db" if provider == FIRST else f"market-{provider}.db")

    @property
    def pid_file(self) -> Path:
        """Holds the pid of the running market."""
        return self.data_dir / "market.pid"

    @property
    def port_file(self) -> Path:
        """Holds the port of the running market, for those who let it choose."""
        return self.data_dir / "market.port"

    def instances(self, provider: str) -> Path:
        """One folder per machine of a provider."""
        return self.data_dir / (INSTANCES if provider == FIRST else f"{INSTANCES}-{provider}")

    def tenant_key(self) -> str:
        """The account's API key: the given one, else the kept one, else a fresh one."""
        return self.api_key or _kept_secret(self.data_dir / "api.key")

    def control_token(self) -> str:
        """What opens the control API; kept in ``<data_dir>/control.token``."""
        return _kept_secret(self.data_dir / "control.token")


def _kept_secret(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_hex(32))
    return path.read_text().strip()
