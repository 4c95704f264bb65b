"""What happens to machines by the passing of time: shutting down, being preempted, dying, reaching the end of their run
time.

A machine that goes down is asked to first, and is STOPPING until it is down. Then it is stopped, which frees its room
and keeps its disks, or it is deleted. A preemption is such a going down, of which the machine learns by its metadata
when it is asked, or earlier where it was ordered so; outside it is told as an operation of the system's.
"""

from datetime import datetime, timedelta
from random import Random
from typing import Final

from holdfast.simcloud.gcp import disks, fleet, operations, placing, pricing
from holdfast.simcloud.gcp.envelopes import WireError
from holdfast.simcloud.gcp.records import Disk, Machine
from holdfast.simcloud.model import Instance, Stop
from holdfast.simcloud.sim import Rules

PREEMPTED: Final = "compute.instances.preempted"
HOST_ERROR: Final = "compute.instances.hostError"
RESTARTED: Final = "compute.instances.automaticRestart"
_WORDS: Final = {
    PREEMPTED: "Instance was preempted.",
    HOST_ERROR: "Instance was terminated by Compute Engine because of a host error.",
    RESTARTED: "Instance was restarted by Compute Engine.",
}


def keep(rules: Rules) -> datetime | None:
    """Do what is due. Returns when there will be something to do again."""
    now = rules.clock.now()
    with rules.store.transaction():
        moments = [moment for instance in rules.store.instances() for moment in _tend(rules, instance, now)]
        _reprice(rules)
        _follow_disks(rules)
    return min((moment for moment in moments if moment > now), default=None)


def go_down(rules: Rules, instance: Instance, *, then_gone: bool = False, suspended: bool = False) -> None:
    """Shut a machine down in its own time; sooner than that if it is on its way already."""
    machine, now = fleet.machine_of(instance), rules.clock.now()
    dice = Random(f"{rules.profile.seed}/{instance.id}/{instance.boots}/down")  # noqa: S311 - a simulation, not a secret
    down_at = now + timedelta(seconds=rules.profile.wind_down.draw(dice) if instance.granted else 0)
    machine.down_at = min(down_at, machine.down_at or down_at)
    machine.soft_off_at = min(now, machine.soft_off_at or now)
    machine.then_gone, machine.suspended = machine.then_gone or then_gone, suspended
    fleet.keep(rules, instance, machine)


def preempt(rules: Rules, instance: Instance, *, notice: float | None = None) -> None:
    """Google takes a Spot machine back, `notice` seconds after it was asked to shut down; None: the profile's."""
    machine, now = fleet.machine_of(instance), rules.clock.now()
    if machine.down_at is not None:
        return
    ordered = int(machine.scheduling.get("preemptionNoticeDuration", {}).get("seconds", 0))
    machine.noticed_at, machine.soft_off_at = now, now + timedelta(seconds=ordered)
    window = rules.profile.notice if notice is None else notice
    machine.down_at = machine.soft_off_at + timedelta(seconds=window)
    machine.then_gone = machine.deleted_when_ended
    fleet.keep(rules, instance, machine)
    _tend(rules, instance, now)


def _tend(rules: Rules, instance: Instance, now: datetime) -> list[datetime]:
    machine = fleet.machine_of(instance)
    if machine.soft_off_at is not None and machine.soft_off_at <= now and not machine.asked_off:
        machine.asked_off = True
        fleet.keep(rules, instance, machine)
        if machine.noticed_at is not None:
            _system(rules, PREEMPTED, instance, machine)
    if machine.down_at is not None and machine.down_at <= now:
        _down(rules, instance, machine, now)
    elif instance.stop in (Stop.OUTBID, Stop.TAKEN):
        _system(rules, PREEMPTED, instance, machine)
        _down(rules, instance, machine.model_copy(update={"then_gone": machine.deleted_when_ended}), now)
    elif instance.stop is Stop.DIED and instance.granted:
        _broken(rules, instance, machine, now)
    elif machine.ends_at is not None and machine.ends_at <= now and instance.granted and machine.down_at is None:
        go_down(rules, instance, then_gone=machine.deleted_when_ended)
    return _moments(rules.store.instance(instance.id))


def _moments(instance: Instance | None) -> list[datetime]:
    """When there will be something to do for a machine."""
    if instance is None:
        return []
    machine = fleet.machine_of(instance)
    word = instance.old_word.until if instance.stop is Stop.DIED and instance.old_word is not None else None
    ends = machine.ends_at if instance.granted else None
    return [moment for moment in (machine.soft_off_at, machine.down_at, ends, word) if moment is not None]


def _down(rules: Rules, instance: Instance, machine: Machine, now: datetime) -> None:
    if machine.then_gone:
        rules.market.destroy(instance.id)
        return
    rules.market.halt(instance.id)
    machine.down_at = machine.soft_off_at = machine.noticed_at = machine.ends_at = None
    machine.asked_off = False
    machine.stopped_at = now
    fleet.keep(rules, rules.market.instance(instance.id), machine)


def _broken(rules: Rules, instance: Instance, machine: Machine, now: datetime) -> None:
    """Its host died. Google learns of it after a while, and starts it elsewhere where it was asked to."""
    if instance.old_word is not None and now < instance.old_word.until:
        return
    _system(rules, HOST_ERROR, instance, machine)
    _down(rules, instance, machine, now)
    if machine.then_gone or not machine.scheduling.get("automaticRestart"):
        return
    stopped = rules.market.instance(instance.id)
    try:
        if placing.bring_up(rules, stopped) is None:
            _system(rules, RESTARTED, stopped, machine)
    except WireError:  # a quota: it stays down
        return


def _system(rules: Rules, kind: str, instance: Instance, machine: Machine) -> None:
    target = fleet.path_of(machine.zone, instance.alias)
    operations.begin(rules, kind, f"zones/{machine.zone}", target, instance.id, words=_WORDS[kind])


def _reprice(rules: Rules) -> None:
    """A Spot machine costs what Spot machines cost at the moment."""
    for instance in rules.store.instances():
        if instance.granted and fleet.machine_of(instance).spot:
            price = pricing.hourly(rules, rules.market.slot(instance.slot_id), spot=True)
            if price != instance.gpu_rate:
                instance.gpu_rate = price
                rules.market.change(instance)


def _follow_disks(rules: Rules) -> None:
    """A disk goes with its machine, or stays by itself."""
    living = {instance.id for instance in rules.store.instances()}
    gone = {disk.user for disk in rules.store.shelf(Disk).all() if disk.user is not None} - living
    for number in gone:
        disks.part_all(rules, number)
