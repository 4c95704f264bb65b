"""The only list of drivers: those that ship, and those that other packages bring as entry points."""

from collections.abc import Callable
from importlib.metadata import entry_points

from holdfast.providers.base import Provider
from holdfast.providers.gcp.driver import open_gcp
from holdfast.providers.tensordock.driver import open_tensordock
from holdfast.providers.vast.driver import open_vast
from holdfast.settings import ProviderSettings

GROUP = "holdfast.providers"
Driver = Callable[[ProviderSettings], Provider]

_SHIPPED: dict[str, Driver] = {"gcp": open_gcp, "tensordock": open_tensordock, "vast": open_vast}


class UnknownProvider(Exception):
    """No driver has that name. The message lists those that exist."""


def known() -> list[str]:
    """The names of all drivers that can be built."""
    return sorted({*_SHIPPED, *(point.name for point in entry_points(group=GROUP))})


def build(name: str, settings: ProviderSettings) -> Provider:
    """The provider `name`, for the account that the settings hold the key of. Opens no connection yet.

    A driver that ships cannot be replaced by another package's of the same name.
    """
    driver = _SHIPPED.get(name) or _brought(name)
    if driver is None:
        raise UnknownProvider(f"no provider is called {name!r}; there are: {', '.join(known())}")
    return driver(settings)


def _brought(name: str) -> Driver | None:
    for point in entry_points(group=GROUP, name=name):
        driver: Driver = point.load()
        return driver
    return None
