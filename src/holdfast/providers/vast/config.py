"""What the Vast.ai driver needs to know of an account, and its habits."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from holdfast.settings import ProviderSettings

PUBLIC_URL = "https://console.vast.ai"


@dataclass(frozen=True, kw_only=True)
class VastConfig:
    """One account. The defaults are for the public service."""

    api_key: SecretStr
    base_url: str = PUBLIC_URL
    connect_timeout: timedelta = timedelta(seconds=10)
    answer_timeout: timedelta = timedelta(seconds=30)
    patience: timedelta = timedelta(seconds=10)  # the longest wait for our turn before we say RateLimited
    pace: float = 1.0  # times the documented least intervals between calls
    listing_lag: timedelta = timedelta(seconds=30)  # a new instance may be missing from the list for so long

    @classmethod
    def of(cls, settings: ProviderSettings) -> "VastConfig":
        """The configuration for a section of the settings."""
        url = (settings.base_url or PUBLIC_URL).rstrip("/")
        lag = settings.listing_lag or cls.listing_lag
        return cls(api_key=settings.api_key, base_url=url, pace=settings.pace, listing_lag=lag)
