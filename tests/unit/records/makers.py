"""Orders with sensible contents, and a clock that moves when it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import create_engine, update

from holdfast.contracts.activities import ClaimEpochInput, CloseLeaseInput, CommitCheckpointInput, OpenWorkloadInput
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.failover import Decision, RankedOffer
from holdfast.contracts.incidents import Attempt, Cause, Incident, Phases
from holdfast.contracts.machines import Lease, Offer, Terms
from holdfast.contracts.names import label
from holdfast.contracts.spec import ObjectivesSpec, PriceSpec, WorkloadSpec
from holdfast.records.schema import migrate
from holdfast.records.store import Records
from holdfast.records.tables import InstallationRow

NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
HOURLY = Decimal("0.2693333333")
MARK = "m4rk"  # of the installation that every test database belongs to


def set_up(url: str) -> None:
    """Migrate a database, and give it a mark that tests can name."""
    migrate(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(update(InstallationRow).values(mark=MARK))
    engine.dispose()


@cache
def blank() -> bytes:
    """An SQLite file at this code's version, for copying: to migrate anew takes longer than most tests."""
    with TemporaryDirectory(prefix="holdfast-records-") as folder:
        path = Path(folder) / "records.db"
        set_up(f"sqlite:///{path}")
        return path.read_bytes()


def new_records(folder: Path) -> Records:
    """Records in a file of their own, as new."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "records.db"
    path.write_bytes(blank())
    return Records.open(f"sqlite:///{path}")


@contextmanager
def on_record(folder: Path) -> Iterator[Records]:
    """As `new_records`, closed in the end."""
    opened = new_records(folder)
    try:
        yield opened
    finally:
        opened.close()


class Clock:
    """Stands still until somebody sets `now`."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def spec(name: str = "train", **changes: Any) -> WorkloadSpec:
    return WorkloadSpec(name=name, command="python train.py", price=PriceSpec(max_hourly=Decimal(1)), **changes)


def opening(
    name: str = "train", run_id: str = "run-1", *, workdir: CheckpointRef | None = None, **changes: Any
) -> OpenWorkloadInput:
    return OpenWorkloadInput(spec=spec(name, **changes), workdir=workdir, run_id=run_id)


def with_objectives(rto: timedelta, rpo: timedelta) -> ObjectivesSpec:
    return ObjectivesSpec(rto=rto, rpo=rpo)


def offer(offer_id: str = "offer-1", **changes: Any) -> Offer:
    plain = Offer(
        provider="vast",
        offer_id=offer_id,
        machine_id="m1",
        host_id="h1",
        gpu="RTX 4090",
        gpu_count=1,
        gpu_memory_gb=24,
        region="US",
        terms=Terms.INTERRUPTIBLE,
        hourly=HOURLY,
        exclusive=False,  # most tests claim it for one workload after another
    )
    return replace(plain, **changes)


def claim(epoch: int, name: str = "train", *, of: Offer | None = None, same_machine: bool = False) -> ClaimEpochInput:
    return ClaimEpochInput(workload=name, epoch=epoch, offer=None if same_machine else of or offer())


def lease(epoch: int, name: str = "train", **changes: Any) -> Lease:
    plain = Lease(
        workload=name,
        epoch=epoch,
        label=label(name, epoch, MARK),
        provider="vast",
        instance_id=f"i-{epoch}",
        machine_id="m1",
        host_id="h1",
        gpu="RTX 4090",
        gpu_count=1,
        region="US",
        terms=Terms.INTERRUPTIBLE,
        hourly=HOURLY,
        since=NOON,
    )
    return replace(plain, **changes)


def closing(epoch: int, at: datetime, name: str = "train", reason: str = "done") -> CloseLeaseInput:
    return CloseLeaseInput(label=label(name, epoch, MARK), closed_at=at, reason=reason)


def checkpoint(sequence: int, epoch: int = 1, name: str = "train", **changes: Any) -> CheckpointRef:
    plain = CheckpointRef(
        workload=name,
        epoch=epoch,
        sequence=sequence,
        manifest=f"{name}/manifests/{sequence}-{epoch}",
        reason=SaveReason.CADENCE,
        taken_at=NOON,
        committed_at=NOON + timedelta(seconds=2),
        files=12,
        bytes_total=7_000_000_000,
        bytes_uploaded=1_000,
        duration=timedelta(seconds=1, microseconds=1),
        progress=f"step {sequence}",
    )
    return replace(plain, **changes)


def commit(sequence: int, epoch: int = 1, name: str = "train", *, on: int | None = None) -> CommitCheckpointInput:
    return CommitCheckpointInput(checkpoint=checkpoint(sequence, epoch, name), expected_sequence=on)


def incident(epoch_lost: int = 1, name: str = "train", **changes: Any) -> Incident:
    plain = Incident(
        workload=name,
        epoch_lost=epoch_lost,
        epoch_gained=epoch_lost + 1,
        cause=Cause.OUTBID,
        reason="a higher bid",
        strategy="snapshot",
        silent_since=NOON,
        decided_at=NOON + timedelta(seconds=1),
        recovered_at=NOON + timedelta(seconds=60),
        phases=Phases(detect=timedelta(seconds=1), boot=timedelta(seconds=40, microseconds=7)),
        recovery_time=timedelta(seconds=60),
        work_lost=timedelta(seconds=30),
        cost=Decimal("0.012345"),
        attempts=(
            Attempt(
                epoch=epoch_lost + 1,
                strategy="snapshot",
                provider="vast",
                offer_id="offer-2",
                machine_id="m2",
                hourly=HOURLY,
                outcome="running",
                took=timedelta(seconds=41),
            ),
        ),
    )
    return replace(plain, **changes)


def decision(epoch: int = 1, name: str = "train", **changes: Any) -> Decision:
    row = RankedOffer(
        provider="vast",
        offer_id="offer-1",
        machine_id="m1",
        gpu="RTX 4090",
        gpu_count=1,
        region="US",
        hourly=HOURLY,
        reliability=0.99,
        score=0.28,
        reason="$0.2693333333/h, reliability +2.0%",
    )
    plain = Decision(
        workload=name,
        epoch=epoch,
        made_at=NOON,
        occasion="placement",
        strategy="placement",
        reason="1 offer fits",
        chosen=(row,),
        rejected=(replace(row, offer_id="offer-9", score=None, reason="too dear"),),
        rejected_total=31,
    )
    return replace(plain, **changes)
