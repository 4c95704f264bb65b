"""More callers than one replica serves wake another one, up to what the owner allows."""

from contextlib import AsyncExitStack

from tests.cli.embedded import Stack
from tests.scenarios.conftest import Serve


async def test_scaled_up_under_load_a_second_replica_shares_it_and_later_both_sleep(serve: Serve) -> None:
    endpoint = await serve("crowd", scale={"in_flight": 2})
    async with AsyncExitStack() as callers:
        streams = [await callers.enter_async_context(endpoint.streams(6000)) for _ in range(4)]
        assert {(await stream.piece())["replica"] for stream in streams} == {endpoint.replica}
        done = Stack(endpoint.stage.home)("endpoint", "scale", endpoint.name, "--max", "2")
        assert done.code == 0, done.err
        await endpoint.comes_to(lambda status: sum(bool(each.ready_at) for each in status.replicas) == 2, "both serve")
        await endpoint.comes_to(lambda status: status.in_flight == 4, "both are told of")
        while (told := await endpoint.tells())["replica"] == endpoint.replica:
            pass
        assert told["replica"] == f"{endpoint.name}-r1"
    slept = await endpoint.sleeps()
    assert len(slept.replicas) == 2
