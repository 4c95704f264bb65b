"""Makes the machines follow the market: boots what is due, ends what must not run, notices what died.

It compares and acts, and keeps nothing: what it does after a crash of the market is what it always does. A host that
should run and runs is adopted; one that should run and does not has died; one that should not run is ended.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from holdfast.simcloud.clock import Clock
from holdfast.simcloud.hosts.folder import HostFolder
from holdfast.simcloud.hosts.midwife import Midwife, StillBirth
from holdfast.simcloud.hosts.processes import TreeSurvived, end_tree
from holdfast.simcloud.machines import Machines, link_of
from holdfast.simcloud.market import Market
from holdfast.simcloud.model import Container, Instance
from holdfast.simcloud.store import Store

_NO_PORT = 9  # where nobody answers
_GLANCE = 0.2  # seconds between two looks when nothing is due: how fast a host that died by itself is noticed

log = logging.getLogger(__name__)


Also = Callable[[], datetime | None]
"""Does what is due, and says when it will have something to do again."""


class Conductor:
    """Runs beside the API for as long as the market does."""

    def __init__(
        self,
        market: Market,
        store: Store,
        machines: Machines,
        midwife: Midwife,
        clock: Clock,
        *,
        hosts: bool = True,
        also: Also | None = None,
    ) -> None:
        """Without `hosts`, machines come up by the book alone. `also` is what the provider's own habits have to do."""
        self._hosts = hosts
        self._also = also
        self._market = market
        self._store = store
        self._machines = machines
        self._midwife = midwife
        self._clock = clock
        self._changed = asyncio.Event()
        self._boots: dict[int, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Follow the market for ever."""
        while True:
            self._changed.clear()
            try:
                due = await self.follow()
            except (TreeSurvived, OSError):
                log.exception("following the market failed; trying again")
                due = None
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause(due)):
                    await self._changed.wait()

    def wake(self) -> None:
        """Something changed: look at once."""
        self._changed.set()

    async def follow(self) -> datetime | None:
        """One pass: when it returns, no host runs that must not. Boots go on in the background.

        Returns the next moment at which something is due.
        """
        async with self._turn:
            moments = [self._market.advance(), None if self._also is None else self._also()]
            due = min((moment for moment in moments if moment is not None), default=None)
            wanted = {instance.id: instance for instance in self._store.instances()}
            if not self._hosts:
                for instance in wanted.values():
                    if instance.container is Container.LOADING and self._is_due(instance):
                        self._market.booted(instance.id, _NO_PORT)
                return due
            for instance in wanted.values():
                await self._follow_one(instance)
            for number in self._machines.numbers():
                if number not in wanted:
                    await self._boot_over(number)
                    await self._end(self._machines.folder(number), remove=True)
            return due

    async def close(self) -> None:
        """Stop following. Hosts stay as they are."""
        for boot in self._boots.values():
            boot.cancel()
        await asyncio.gather(*self._boots.values(), return_exceptions=True)

    async def _follow_one(self, instance: Instance) -> None:
        folder = self._machines.folder(instance.id)
        if instance.container is Container.RUNNING:
            running = folder.running()
            if running is None:
                await self._end(folder)
                self._market.died(instance.id)
            else:
                self._tend(instance, folder, running.process.pid)
        elif instance.container is Container.LOADING and self._is_due(instance):
            self._boot(instance)
        elif instance.container is not Container.LOADING:
            await self._boot_over(instance.id)
            await self._end(folder)

    def _is_due(self, instance: Instance) -> bool:
        return instance.ready_at is not None and instance.ready_at <= self._clock.now()

    def _boot(self, instance: Instance) -> None:
        if instance.id not in self._boots:
            task = asyncio.create_task(self._bring_up(instance))
            self._boots[instance.id] = task
            task.add_done_callback(lambda _: self._boots.pop(instance.id, None))

    async def _boot_over(self, number: int) -> None:
        """Wait out a boot in flight; its host can be ended only once it is known."""
        if boot := self._boots.get(number):
            await boot

    async def _bring_up(self, instance: Instance) -> None:
        folder = self._machines.folder(instance.id)
        try:
            await self._end(folder, remove=instance.wipe)
            await asyncio.to_thread(self._machines.sow, instance)
            self._machines.prepare(instance, self._market.slot(instance.slot_id))
            running = await self._midwife.deliver(folder)
            if not self._market.booted(instance.id, running.port):
                await self._end(folder)
        except (StillBirth, TreeSurvived, OSError):
            log.exception("instance %s did not come up; it is tried again while it is wanted", instance.id)

    def _tend(self, instance: Instance, folder: HostFolder, pid: int) -> None:
        """Keep link, keys and facts of a running host as the market has them."""
        folder.write_keys(instance.keys.values())
        slot = self._market.slot(instance.slot_id)
        link, tell = link_of(instance, slot), self._machines.tell
        facts = None if tell is None else tell(instance, slot)
        changed = folder.link() != link
        if changed:
            folder.write_link(link)
        if facts is not None and folder.facts() != facts:
            changed = True
            folder.write_facts(facts)
        if changed:
            with suppress(ProcessLookupError):  # it has just died; the next pass will see that
                os.kill(pid, signal.SIGUSR1)

    async def _end(self, folder: HostFolder, *, remove: bool = False) -> None:
        process = folder.last_process()
        if process is not None or remove:
            await asyncio.to_thread(end_tree, process, folder.mark)
            folder.forget_running()
        if remove:
            await asyncio.to_thread(folder.remove)

    def _pause(self, due: datetime | None) -> float:
        if due is None:
            return _GLANCE
        return min(_GLANCE, max(0.0, (due - self._clock.now()).total_seconds()))
