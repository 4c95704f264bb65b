"""What happens to machines by the passing of time: shutting down, being preempted, reaching the end of their run time.

A machine that goes down is asked to first, and is STOPPING until it is down. Then it is stopped, which frees its room
and keeps its disks, or it is deleted.
"""

from datetime import datetime, timedelta
from random import Random

from holdfast.simcloud.gcp import disks, fleet, operations
from holdfast.simcloud.gcp.records import Disk, Machine
from holdfast.simcloud.model import Instance, Stop
from holdfast.simcloud.sim import Rules

PREEMPTED, HOST_ERROR = "compute.instances.preempted", "compute.instances.hostError"
_WORDS = {PREEMPTED: "Instance was preempted.", HOST_ERROR: "Instance was terminated by Compute Engine."}


def keep(rules: Rules) -> datetime | None:
    """Do what is due. Returns when there will be something to do again."""
    now = rules.clock.now()
    with rules.store.transaction():
        moments = [_tend(rules, instance, now) for instance in rules.store.instances()]
        _follow_disks(rules)
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


def go_down(
    rules: Rules, instance: Instance, *, then_gone: bool = False, suspended: bool = False, within: float | None = None
) -> None:
    """Shut a machine down, `within` so many seconds or in its own time, if it is not down already."""
    machine, now = fleet.machine_of(instance), rules.clock.now()
    dice = Random(f"{rules.profile.seed}/{instance.id}/{instance.boots}/down")  # noqa: S311 - a simulation, not a secret
    takes = rules.profile.wind_down.draw(dice) if within is None else within
    down_at = now + timedelta(seconds=takes if instance.granted else 0)
    machine.down_at = min(down_at, machine.down_at or down_at)
    machine.soft_off_at = machine.soft_off_at or now
    machine.then_gone, machine.suspended = machine.then_gone or then_gone, suspended
    fleet.keep(rules, instance, machine)


def _tend(rules: Rules, instance: Instance, now: datetime) -> datetime | None:
    machine = fleet.machine_of(instance)
    if machine.down_at is not None and machine.down_at <= now:
        _down(rules, instance, machine, now)
    elif instance.stop in (Stop.OUTBID, Stop.TAKEN):
        _system(rules, PREEMPTED, instance, machine)
        _stopped(rules, instance, machine, now)
    elif instance.stop is Stop.DIED and instance.granted:
        _broken(rules, instance, machine, now)
    elif machine.ends_at is not None and machine.ends_at <= now and instance.granted and machine.down_at is None:
        go_down(rules, instance, then_gone=machine.deleted_when_ended)
    left = rules.store.instance(instance.id)
    if left is None:
        return None
    machine = fleet.machine_of(left)
    return machine.down_at or (machine.ends_at if left.granted else None)


def _down(rules: Rules, instance: Instance, machine: Machine, now: datetime) -> None:
    if machine.then_gone:
        rules.market.destroy(instance.id)
    else:
        _stopped(rules, instance, machine, now)


def _stopped(rules: Rules, instance: Instance, machine: Machine, now: datetime) -> None:
    rules.market.halt(instance.id)
    machine.down_at = machine.soft_off_at = machine.noticed_at = machine.ends_at = None
    machine.stopped_at = now
    fleet.keep(rules, rules.market.instance(instance.id), machine)


def _broken(rules: Rules, instance: Instance, machine: Machine, now: datetime) -> None:
    """Its host died. Google learns of it after a while."""
    if instance.old_word is not None and now < instance.old_word.until:
        return
    _system(rules, HOST_ERROR, instance, machine)
    _stopped(rules, instance, machine, now)


def _system(rules: Rules, kind: str, instance: Instance, machine: Machine) -> None:
    target = fleet.path_of(machine.zone, instance.alias)
    operations.begin(rules, kind, f"zones/{machine.zone}", target, instance.id, words=_WORDS[kind])


def _follow_disks(rules: Rules) -> None:
    """A disk goes with its machine, or stays by itself."""
    living = {instance.id for instance in rules.store.instances()}
    gone = {disk.user for disk in rules.store.shelf(Disk).all() if disk.user is not None} - living
    for number in gone:
        disks.part_all(rules, number)
