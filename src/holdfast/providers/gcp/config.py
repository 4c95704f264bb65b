"""What the Google driver needs to know of a project, and its habits."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from holdfast.settings import ProviderSettings

PUBLIC_URL = "https://compute.googleapis.com"
PUBLIC_CATALOG = "https://cloudbilling.googleapis.com"
IMAGE = "projects/deeplearning-platform-release/global/images/family/common-cu124-ubuntu-2204"
"""A stock image with NVIDIA's driver and Python."""
NETWORK = "global/networks/default"
LOGIN = "holdfast"
"""Who logs in: stock images let nobody in as root, and make this user when the machine's metadata names it."""
LEAST_DISK = 50
"""GB: stock images with NVIDIA's driver do not fit on less."""
_KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
NO_SECRET = SecretStr("")


@dataclass(frozen=True, kw_only=True)
class GcpConfig:
    """One project. The defaults are for the public service."""

    key: SecretStr = NO_SECRET  # the content of a service account's key file; "": it is in `key_file`
    key_file: Path | None = None
    project: str = ""  # "": the one that the key names
    compute_url: str = PUBLIC_URL
    catalog_url: str = PUBLIC_CATALOG
    image: str = IMAGE
    network: str = NETWORK
    ssh_port: int = 22
    connect_timeout: timedelta = timedelta(seconds=10)
    answer_timeout: timedelta = timedelta(seconds=60)
    patience: timedelta = timedelta(seconds=10)  # the longest wait for our turn before we say RateLimited
    notice: timedelta = timedelta()  # given to a Spot machine before it is asked to shut down
    pace: float = 1.0  # times the documented least intervals between calls
    operation_patience: timedelta = timedelta(seconds=40)  # a zone without room says so within about 30 s
    stop_patience: timedelta = timedelta(seconds=150)  # a machine is switched off after two minutes at the latest

    @classmethod
    def of(cls, settings: ProviderSettings) -> "GcpConfig":
        """The configuration for a section of the settings. One `base_url` stands for both of Google's addresses."""
        base = (settings.base_url or "").rstrip("/")
        named = settings.key_file or (Path(path) if (path := os.environ.get(_KEY_FILE)) else None)
        return cls(
            key=settings.api_key,
            key_file=named,
            project=settings.project or "",
            compute_url=base or PUBLIC_URL,
            catalog_url=base or PUBLIC_CATALOG,
            image=settings.image or IMAGE,
            network=settings.network or NETWORK,
            ssh_port=settings.ssh_port or cls.ssh_port,
            notice=settings.preemption_notice,
            pace=settings.pace,
        )
