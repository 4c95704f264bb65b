"""Real accounts, real money: each machine is paid from one purse and ended by its label, however the run ends."""

import asyncio
import signal
from collections.abc import AsyncIterator
from types import FrameType
from typing import Any

import pytest

pytest.register_assert_rewrite("holdfast.providers.conformance")

from holdfast.contracts.machines import Instance  # noqa: E402
from holdfast.providers.conformance.account import Account  # noqa: E402
from holdfast.providers.conformance.subject import Subject  # noqa: E402
from holdfast.providers.errors import ProviderError  # noqa: E402
from tests.live.lane import (  # noqa: E402
    AT_ONCE,
    REAP_LIMIT,
    TEST_LIMIT,
    Lane,
    LiveControls,
    open_provider,
    read,
    subject_for,
)
from tests.live.purse import Purse, guard  # noqa: E402
from tests.live.reaping import reap  # noqa: E402

LANE = read()
PURSE = Purse(LANE.budget, longest=TEST_LIMIT + REAP_LIMIT) if isinstance(LANE, Lane) else None
_subjects: dict[str, Subject | None] = {}
_touched: set[str] = set()
_ending: list[str] = []


@pytest.fixture(params=sorted(LANE.providers) if isinstance(LANE, Lane) else ["no account"])
async def account(request: pytest.FixtureRequest) -> AsyncIterator[Account]:
    if not isinstance(LANE, Lane) or PURSE is None:
        pytest.skip(str(LANE))
    name, settings = request.param, LANE.providers[request.param]
    provider = open_provider(name, settings)
    controls = LiveControls(provider, settings, LANE.prefix)
    controls.require_for(request.function)
    if name not in _subjects:
        _subjects[name] = await subject_for(LANE, provider)
    subject = _subjects[name]
    if subject is None:
        pytest.skip(f"{name} has of no GPU {AT_ONCE} offers under HOLDFAST_LIVE_MAX_HOURLY={LANE.max_hourly}")
    _touched.add(name)
    yield Account(subject, guard(provider, PURSE, stop=_stop), controls)
    if not await reap(provider, LANE.prefix, poll=LANE.poll):
        PURSE.settle_all(name)
    await provider.close()


def pytest_sessionstart() -> None:
    """Whoever ends the run ends it at once, with everything put away.

    Of Python's own handler of Ctrl-C asyncio makes a cancel, which a step that cleans up may swallow.
    """
    if isinstance(LANE, Lane):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The last word of every run, also of one that was interrupted."""
    if not isinstance(LANE, Lane) or not _touched:
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever is impatient must not leave machines behind
    if not asyncio.run(_reap_all(LANE)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What it cost, and what is left."""
    if PURSE is not None and _touched:
        terminalreporter.section("live")
        terminalreporter.line(f"at most ${PURSE.spent:.4f} of ${PURSE.budget} spent")
        for line in _ending:
            terminalreporter.line(line)


def _stop(why: str) -> None:
    pytest.exit(f"the live run stops: {why}; raise HOLDFAST_LIVE_BUDGET to go on", returncode=1)


async def _reap_all(lane: Lane) -> bool:
    clean = True
    for name in sorted(_touched):
        provider = open_provider(name, lane.providers[name])
        try:
            left = await reap(provider, lane.prefix, poll=lane.poll, quiet=provider.capabilities.listing_lag)
            _ending.append(_told(name, left))
            clean = clean and not left
        except ProviderError as failure:
            _ending.append(f"{name}: WHAT IS LEFT IS NOT KNOWN, look at the account: {failure}")
            clean = False
        finally:
            await provider.close()
    return clean


def _told(name: str, left: list[Instance]) -> str:
    if not left:
        return f"{name}: nothing is left"
    return f"{name}: STILL THERE, end them by hand: {', '.join(f'{each.instance_id} ({each.label})' for each in left)}"
