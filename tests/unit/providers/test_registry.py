"""Finding a driver by its name."""

from importlib.metadata import entry_points

import pytest
from pydantic import SecretStr

from holdfast.providers import registry
from holdfast.providers.base import Capabilities
from holdfast.settings import ProviderSettings

SETTINGS = ProviderSettings(api_key=SecretStr("a-key"))


@pytest.mark.parametrize("name", ["gcp", "tensordock", "vast"])
async def test_a_driver_is_built_by_its_name(name: str) -> None:
    provider = registry.build(name, SETTINGS)
    assert provider.name == name
    assert isinstance(provider.capabilities, Capabilities)
    await provider.close()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(registry.UnknownProvider, match=r"'vats'.*vast"):
        registry.build("vats", SETTINGS)


def test_the_drivers_that_ship_are_entry_points_as_those_of_others_are() -> None:
    points = {point.name: point.load() for point in entry_points(group=registry.GROUP)}
    assert points["vast"].__name__ == "open_vast"
    assert registry.known() == sorted(points)
