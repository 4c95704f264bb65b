"""Every store that ships, each empty."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from holdfast.checkpoints.stores.base import Store
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.checkpoints.stores.s3 import S3Store
from tests.weed import Weed, run_weed


@pytest.fixture(scope="package")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    with run_weed(tmp_path_factory.mktemp("weed")) as running:
        yield running


@pytest_asyncio.fixture(params=["folder", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store
    if request.param == "s3":
        opened = S3Store(request.getfixturevalue("weed").settings(prefix=f"tenants/{secrets.token_hex(4)}"))
    else:
        opened = FolderStore(tmp_path / "store")
    yield opened
    await opened.close()
