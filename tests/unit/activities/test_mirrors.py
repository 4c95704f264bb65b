"""A restore on a real machine of this computer takes the store that is near to where its lease says that it stands."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry
from temporalio.testing import ActivityEnvironment

from holdfast.activities.checkpoints import CheckpointActivities
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.mirrors import Mirror
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts.activities import RestoreInput, SaveInput
from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary, SaveReason
from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import WorkloadSpec
from holdfast.hosts.pool import HostPool
from holdfast.telemetry.metrics import Metrics
from tests.unit.hosts.machine import Machine


async def test_a_restore_takes_the_store_near_to_its_machine_and_the_main_one_where_that_fails(
    env: ActivityEnvironment,
    pool: HostPool,
    lease: Lease,
    machine: Machine,
    spec: Callable[..., WorkloadSpec],
    tmp_path: Path,
) -> None:
    main, mirror = FolderStore(tmp_path / "main"), FolderStore(tmp_path / "mirror")
    engine = CheckpointEngine(main, mirrors=[Mirror("eu", mirror, ("DE",))])
    acts = CheckpointActivities(pool, engine, metrics=Metrics(CollectorRegistry()))
    state = machine.home / "workspace/state"
    state.parent.mkdir()
    state.write_bytes(b"much" * 1000)
    last = SaveInput(lease=lease, spec=spec("true"), reason=SaveReason.FINISH, base=None, sequence=1)
    saved: CheckpointRef = await env.run(acts.save_checkpoint, last)
    await engine.fill_mirror("eu", [saved.manifest])

    async def restored_in(region: str) -> RestoreSummary:
        state.unlink()
        there = replace(lease, region=region)
        order = RestoreInput(lease=there, workspace=last.spec.workspace, manifest=saved.manifest)
        done: RestoreSummary = await env.run(acts.restore_checkpoint, order)
        assert state.read_bytes() == b"much" * 1000
        return done

    assert [(await restored_in(region)).store for region in ("DE", "US", "")] == ["eu", "", ""]
    [pack] = await mirror.list("packs/")
    (mirror.root / pack.key).write_bytes(bytes(pack.size))
    assert (await restored_in("DE")).store == ""
    await main.close()
    await mirror.close()
