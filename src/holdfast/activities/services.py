"""Activities on what a workload serves: wait until it can, and ask it what its callers would ask."""

import asyncio
import time
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.activities.beating import beating, waiting_since
from holdfast.activities.translation import translated
from holdfast.contracts import activities as acts
from holdfast.contracts.deployments import Compared, ProbeSet, SmokeVerdict
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import Lease
from holdfast.hosts.asking import ask
from holdfast.hosts.health import ask_health
from holdfast.hosts.pool import HostPool
from holdfast.hosts.session import HostSession
from holdfast.policy import probing
from holdfast.policy.smoke import judged

_ONE_ANSWER = timedelta(seconds=10)
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 1.0  # seconds between two questions; a model loads for minutes


class ServiceActivities:
    """Stateless but for the pool of connections, which is an optimisation."""

    def __init__(self, pool: HostPool) -> None:
        self._pool = pool

    @activity.defn
    async def await_service(self, order: acts.AwaitServiceInput) -> acts.ServiceReady:
        service, began, wait = order.service, waiting_since(), _FIRST_WAIT
        async with beating():
            port = service.port or await self._port(order.lease)
            while True:
                with translated():
                    session = await self._pool.session(order.lease)
                    health = await ask_health(session, port=port, path=service.health, within=_ONE_ANSWER)
                took = timedelta(seconds=time.monotonic() - began)
                if health.fine:
                    after = max(took - health.first_byte, timedelta())
                    return acts.ServiceReady(port=port, after=after, first_byte=health.first_byte)
                if took > service.ready_within:
                    within = f"{service.ready_within.total_seconds():g} s"
                    message = f"GET {service.health} on port {port} was not answered well in {within}: {health.said}"
                    raise ApplicationError(message, type=ErrorType.SERVICE_NOT_READY, non_retryable=True)
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    @activity.defn
    async def smoke_test(self, order: acts.SmokeTestInput) -> SmokeVerdict:
        async with beating():
            with translated():
                session = await self._pool.session(order.lease)
                answer = await ask(session, port=order.port, request=order.request)
                verdict = judged(order.request, answer)
                if verdict.passed and order.request.comparison is not None:
                    verdict = await _compared(session, order, order.request.comparison, verdict)
        return verdict

    async def _port(self, lease: Lease) -> int:
        """Which one the machine's agent has found free, and told the work."""
        with translated():
            async with self._pool.channel(lease, start=False) as channel:
                port = (await channel.heartbeat(within=_ONE_ANSWER)).service_port
        if port is None:
            message = "the agent knows of no port: the work was not started as a service"
            raise ApplicationError(message, type=ErrorType.SERVICE_NOT_READY, non_retryable=True)
        return port


async def _compared(
    session: HostSession, order: acts.SmokeTestInput, comparison: ProbeSet, before: SmokeVerdict
) -> SmokeVerdict:
    """Base and tuned model, each asked every probe, one after the other, in what is left of the time."""
    began = time.monotonic()
    heard: list[Compared] = []

    async def say(prompt: str, model: str) -> str:
        spent = before.took + timedelta(seconds=time.monotonic() - began)
        left = max(order.request.within - spent, timedelta(seconds=1))
        request = probing.question(comparison, prompt, model=model, within=left)
        return probing.text_of(request, await ask(session, port=order.port, request=request))

    try:
        for each in comparison.probes:
            tuned = await say(each.prompt, comparison.model)
            base = await say(each.prompt, comparison.base) if comparison.base else each.base
            heard.append(probing.told(each, base=base, tuned=tuned))
    except probing.NoAnswer as why:
        return SmokeVerdict(passed=False, said=f"a probe: {why}", took=before.took, compared=tuple(heard))
    return probing.compared(before, comparison.probes, heard, timedelta(seconds=time.monotonic() - began))
