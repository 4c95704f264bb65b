"""What the TensorDock driver needs to know of an account, and its habits."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from holdfast.settings import ProviderSettings

PUBLIC_URL = "https://dashboard.tensordock.com"
IMAGE = "ubuntu2404_ml_pytorch"
"""A stock image with NVIDIA's driver and Python."""
NO_SECRET = SecretStr("")


@dataclass(frozen=True, kw_only=True)
class TensorDockConfig:
    """One account. The defaults are for the public service."""

    api_key: SecretStr
    legacy_key: SecretStr = NO_SECRET  # of the older API, v0; with its token a stop can give the GPUs back
    legacy_token: SecretStr = NO_SECRET
    base_url: str = PUBLIC_URL
    image: str = IMAGE
    connect_timeout: timedelta = timedelta(seconds=10)
    answer_timeout: timedelta = timedelta(seconds=90)  # the API is slow, deploys most of all
    patience: timedelta = timedelta(seconds=10)  # the longest wait for our turn before we say RateLimited
    pace: float = 1.0  # times the documented least intervals between calls
    listing_lag: timedelta = timedelta(seconds=90)  # a new machine may be missing from the list for so long
    stop_patience: timedelta = timedelta(seconds=90)  # in which a stop is expected to be carried out

    @classmethod
    def of(cls, settings: ProviderSettings) -> "TensorDockConfig":
        """The configuration for a section of the settings."""
        return cls(
            api_key=settings.api_key,
            legacy_key=settings.legacy_key,
            legacy_token=settings.legacy_token,
            base_url=(settings.base_url or PUBLIC_URL).rstrip("/"),
            image=settings.image or IMAGE,
            pace=settings.pace,
            listing_lag=settings.listing_lag or cls.listing_lag,
        )

    @property
    def has_legacy(self) -> bool:
        """Whether the older API can be used."""
        return bool(self.legacy_key.get_secret_value() and self.legacy_token.get_secret_value())
