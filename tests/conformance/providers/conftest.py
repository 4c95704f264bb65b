"""A market for each file of the suite, cleared around each test, and an account there for each driver."""

from collections.abc import AsyncIterator, Iterator

import pytest

pytest.register_assert_rewrite("holdfast.providers.conformance")

from holdfast.providers.conformance.account import Account  # noqa: E402 (after its asserts are made to tell more)
from tests.conformance.providers.drivers import DRIVERS, Driver  # noqa: E402
from tests.conformance.providers.market import MarketControls  # noqa: E402
from tests.simmarket import RunningMarket, run_market  # noqa: E402


@pytest.fixture(scope="module")
def shared_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMarket]:
    with run_market(tmp_path_factory.mktemp("conformance")) as running:
        yield running


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
async def account(request: pytest.FixtureRequest, shared_market: RunningMarket) -> AsyncIterator[Account]:
    driver: Driver = request.param
    with shared_market.control as control:
        controls = MarketControls(driver, shared_market, control)
        controls.reset()
        provider = controls.open()
        yield Account(driver.subject, provider, controls)
        await provider.close()
        controls.reset()
