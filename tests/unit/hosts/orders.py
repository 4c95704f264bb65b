"""Orders for `start`, with only what a test cares about spelled out."""

from typing import Any

from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.heartbeat import Heartbeat, WorkState


def order(command: str, **more: Any) -> dict[str, Any]:
    base = {"token": "t1", "epoch": 3, "workload": "train", "workspace": "workspace", "command": command}
    return {**base, **more}


async def beat_when(channel: AgentChannel, state: WorkState) -> Heartbeat:
    """The first heartbeat that shows this state."""
    async for beat in channel.heartbeats():
        if beat.state is state:
            return beat
    raise AssertionError("a channel's heartbeats end with ChannelLost only")
