"""The agent hears of its machine's end from the metadata server, and from nobody else."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncssh
import pytest

from holdfast.contracts.channel import AgentError
from holdfast.contracts.machines import Lease
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.heartbeat import parse_heartbeat
from holdfast.hosts.pool import HostPool
from holdfast.simcloud.hosts.folder import Facts
from holdfast.simcloud.hosts.metadata import MetadataServer
from tests.unit.hosts.machine import Machine

QUICK = timedelta(seconds=0.05)


def told(preempted: object, **attributes: object) -> Facts:
    return Facts(tree={"instance": {"preempted": preempted, "attributes": attributes}}, going_down=False)


@pytest.fixture
async def metadata() -> MetadataServer:
    return await MetadataServer(told("FALSE")).open()


@pytest.fixture
async def channel(
    machine: Machine, metadata: MetadataServer, pool: HostPool, lease: Lease, client_key: asyncssh.SSHKey
) -> AsyncIterator[AgentChannel]:
    machine.variables |= metadata.variables
    async with pool.channel(lease) as channel:
        yield channel


@pytest.mark.parametrize(
    ("attributes", "seconds"),
    [
        ({"holdfast-notice": "90"}, 90),
        ({}, 0),
        ({"holdfast-notice": "long"}, 0),
        ({"holdfast-notice": "1e9"}, 3600),
        ({"holdfast-notice": "nan"}, 0),
    ],
)
async def test_a_notice_is_told_with_the_time_that_was_ordered(
    channel: AgentChannel, metadata: MetadataServer, attributes: dict[str, str], seconds: int
) -> None:
    beats = channel.heartbeats(QUICK)
    assert (await anext(beats)).taken_at is None
    metadata.set(told("TRUE", **attributes))
    async for beat in beats:
        if beat.taken_at is not None:
            left = beat.taken_at - beat.at
            assert timedelta(seconds=seconds - 15) < left <= timedelta(seconds=seconds)
            return


async def test_the_time_of_a_notice_stays_the_same(channel: AgentChannel, metadata: MetadataServer) -> None:
    metadata.set(told("TRUE"))
    told_at = [beat.taken_at async for beat in _first(channel, 40) if beat.taken_at is not None]
    assert len(set(told_at)) == 1


@pytest.mark.parametrize("odd", ["", "true", "<html>", 0, None])
async def test_an_odd_answer_is_no_notice(channel: AgentChannel, metadata: MetadataServer, odd: object) -> None:
    metadata.set(told(odd))
    assert [beat async for beat in _first(channel, 10) if beat.taken_at is not None] == []


async def _first(channel: AgentChannel, count: int) -> AsyncIterator[object]:
    beats = channel.heartbeats(QUICK)
    for _ in range(count):
        yield await anext(beats)


@pytest.mark.parametrize("notice", ["soon", {"at": "now", "for_s": 30}, {"at": 1e300, "for_s": 30}, {"at": 5}])
async def test_a_notice_that_makes_no_sense_is_refused(channel: AgentChannel, notice: object) -> None:
    beat = await channel.call("heartbeat", {})
    with pytest.raises(AgentError, match="makes no sense"):
        parse_heartbeat({**beat, "notice": notice})


async def test_an_older_agent_says_nothing_of_notices(channel: AgentChannel) -> None:
    beat = await channel.call("heartbeat", {})
    del beat["notice"]
    assert parse_heartbeat(beat).taken_at is None
