"""A hub on this computer, with the tiny model on it."""

from collections.abc import Iterator

import pytest

from tests import hub, tiny_model


@pytest.fixture
def tiny_hub() -> Iterator[hub.Hub]:
    with hub.running() as running:
        running.models["org/tiny"] = hub.Shelf(files=tiny_model.files())
        yield running
