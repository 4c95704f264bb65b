"""Which ports a stack takes, and what it says when it cannot have them."""

import socket
from collections.abc import Iterator

import pytest

from holdfast.workers.stack.errors import PortBusy
from holdfast.workers.stack.ports import LOOPBACK, WEED_OFFSET, Wanted, choose, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        yield other.getsockname()[1]


def web(default: int | None) -> Wanted:
    return Wanted(name="ui", purpose="the Web UI", default=default)


def pick(wanted: Wanted, *, auto: bool = False, asked: int | None = None, remembered: int | None = None) -> int:
    return choose(
        (wanted,),
        auto=auto,
        asked={} if asked is None else {wanted.name: asked},
        remembered={} if remembered is None else {wanted.name: remembered},
    )[wanted.name]


def free_port() -> int:
    return pick(web(None))


def test_takes_the_default_when_it_is_free() -> None:
    port = free_port()
    assert pick(web(port)) == port


def test_takes_the_port_of_last_time_before_the_default() -> None:
    default, last = free_port(), free_port()
    assert pick(web(default), remembered=last) == last


def test_takes_the_port_that_was_asked_for_before_all_others() -> None:
    asked = free_port()
    assert pick(web(free_port()), asked=asked, remembered=free_port(), auto=True) == asked


def test_refuses_a_busy_default_with_its_number_its_purpose_and_the_remedy(taken: int) -> None:
    with pytest.raises(PortBusy) as refused:
        pick(web(taken))
    for part in (str(taken), "the Web UI", "--port auto"):
        assert part in str(refused.value)


def test_refuses_a_busy_port_that_was_asked_for_even_with_auto(taken: int) -> None:
    with pytest.raises(PortBusy):
        pick(web(free_port()), asked=taken, auto=True)


def test_auto_takes_another_port_for_a_busy_one(taken: int) -> None:
    assert pick(web(taken), remembered=taken, auto=True) != taken


def test_a_port_that_nobody_types_moves_by_itself(taken: int) -> None:
    assert pick(web(None), remembered=taken) != taken


def test_a_store_port_needs_its_companion_too(taken: int) -> None:
    store = Wanted(name="s3", purpose="the S3 store", default=taken - WEED_OFFSET, paired=True)
    with pytest.raises(PortBusy, match=f"port {taken} is taken.*wants port {taken - WEED_OFFSET}"):
        pick(store)


def test_every_chosen_port_is_free_and_no_two_are_equal() -> None:
    wanted = tuple(Wanted(name=str(number), purpose="a test", paired=number % 2 == 0) for number in range(20))
    chosen = choose(wanted, auto=True, asked={}, remembered={})
    assert len(set(chosen.values())) == len(wanted)
    assert all(is_free(port) for port in chosen.values())
