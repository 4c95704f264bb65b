"""The whole way: an agent pushed over SSH moves a workspace between its machine and the store."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncssh
import pytest_asyncio

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.base import Store
from holdfast.contracts.channel import Channel
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.machines import Lease, SshAddress, Terms
from holdfast.contracts.spec import Quiesce
from holdfast.hosts.pool import HostPool
from tests.unit.hosts.machine import Machine
from tests.workspaces import plant_nasty_tree, portrait


@pytest_asyncio.fixture
async def channel(tmp_path: Path) -> AsyncIterator[Channel]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    home = tmp_path / "machine"
    home.mkdir()
    machine = Machine(home, key)
    lease = rented(await machine.boot())
    async with HostPool(key, connect_timeout=timedelta(seconds=20)) as pool, pool.channel(lease) as opened:
        yield opened
    await machine.halt()
    machine.kill_everything()


async def test_a_workspace_travels_through_the_store(store: Store, channel: Channel, tmp_path: Path) -> None:
    engine = CheckpointEngine(store)
    work = tmp_path / "machine" / "workspace"
    work.mkdir()
    plant_nasty_tree(work)
    saved = await engine.save(
        channel,
        workload="train",
        epoch=3,
        sequence=1,
        workspace="workspace",  # below the login's home, as a spec says it
        base_manifest=None,
        reason=SaveReason.CADENCE,
        quiesce=Quiesce.FREEZE,
    )
    await engine.restore(channel, manifest=saved.manifest, workspace="elsewhere")
    assert portrait(tmp_path / "machine" / "elsewhere") == portrait(work)


def rented(address: SshAddress) -> Lease:
    return Lease(
        workload="train",
        epoch=3,
        label="train.e3",
        provider="test",
        instance_id="1",
        machine_id="1",
        gpu="none",
        gpu_count=0,
        terms=Terms.ON_DEMAND,
        hourly=Decimal(0),
        since=datetime.now(UTC),
        ssh=address,
    )
