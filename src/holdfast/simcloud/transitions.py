"""How one instance passes from state to state. Each function changes the instance it is given, nothing else."""

from datetime import datetime, timedelta

from holdfast.simcloud.model import Container, Flaw, Instance, OldWord, Stop, Wish

_CREATED_SHARE = 0.2  # of a boot the container is being made; for the rest it is loading
_KEPT_AFTER_END = timedelta(hours=48)


def begin_boot(instance: Instance, *, takes: timedelta, flaw: Flaw | None, now: datetime) -> None:
    """The GPUs are granted: plan the way to running, as far as the machine's flaw lets it come."""
    instance.boots += 1
    instance.container = Container.ABSENT if takes else Container.LOADING
    instance.loading_at = now + takes * _CREATED_SHARE
    instance.ready_at = now + takes
    instance.port = instance.old_word = instance.stop = instance.message = None
    _apply(flaw, instance)


def come_up(instance: Instance, *, port: int, now: datetime) -> None:
    """The host answers."""
    instance.container, instance.port, instance.started_at = Container.RUNNING, port, now
    instance.wipe = False
    instance.message = f"success, running {instance.order.image}/ssh"


def die(instance: Instance, *, word_lag: timedelta, word: Container, now: datetime) -> None:
    """The host is dead; the GPUs stay granted, as they do when a container ends. The provider's word follows later."""
    instance.old_word = OldWord(container=instance.container, until=now + word_lag)
    instance.container, instance.death_word, instance.stop = Container.EXITED, word, Stop.DIED
    instance.loading_at = instance.ready_at = None
    if not word_lag:
        instance.port = None


def stop(instance: Instance, why: Stop) -> None:
    """Give the GPUs back and do not want them any more."""
    take_away(instance, why)
    instance.wish = Wish.STOPPED


def rest(instance: Instance) -> None:
    """Shut down without giving the GPUs back."""
    instance.container, instance.wish, instance.stop = Container.STOPPED, Wish.STOPPED, Stop.USER
    instance.loading_at = instance.ready_at = instance.port = instance.old_word = None


def take_away(instance: Instance, why: Stop) -> None:
    """Lose the GPUs, or fail to get them, and still want them."""
    instance.container = Container.EXITED if instance.granted else Container.STOPPED
    instance.granted, instance.stop = False, why
    instance.loading_at = instance.ready_at = instance.port = instance.old_word = None


def move_on(instance: Instance, now: datetime) -> None:
    """Do what the passing of time alone does."""
    if instance.contract_end + _KEPT_AFTER_END <= now:
        stop(instance, Stop.CONTRACT_END)
        instance.destroyed_at = now
    elif instance.contract_end <= now and instance.wish is Wish.RUNNING:
        stop(instance, Stop.CONTRACT_END)
    if instance.container is Container.ABSENT and instance.granted:
        instance.container = Container.CREATED
    if instance.container is Container.CREATED and instance.loading_at and instance.loading_at <= now:
        instance.container = Container.LOADING


def next_moment(instance: Instance, now: datetime) -> datetime | None:
    """When ``move_on`` or the instance's boot will have something to do."""
    planned = (instance.contract_end, instance.loading_at, instance.ready_at, instance.contract_end + _KEPT_AFTER_END)
    return min((moment for moment in planned if moment is not None and moment > now), default=None)


def _apply(flaw: Flaw | None, instance: Instance) -> None:
    if flaw in (Flaw.NEVER_BOOTS, Flaw.NO_IMAGE, Flaw.BROKEN_RUNTIME):
        instance.ready_at = None
    if flaw is Flaw.NO_IMAGE:
        image = instance.order.image
        instance.message = f"Error response from daemon: manifest for {image} not found: manifest unknown"
    elif flaw is Flaw.BROKEN_RUNTIME:
        instance.loading_at, instance.container = None, Container.CREATED
        instance.message = "Error response from daemon: OCI runtime create failed: driver error: timed out"
