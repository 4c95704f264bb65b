"""What only Google has: machines stand in a project, and settings may come to name another one."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from holdfast.providers.errors import CredentialsRefused
from holdfast.providers.gcp import driver
from holdfast.providers.gcp.config import GcpConfig
from tests.conformance.providers.drivers import GCP
from tests.conformance.providers.market import MarketControls
from tests.simmarket import RunningMarket


async def test_a_machine_of_another_project_is_not_taken_for_gone(shared_market: RunningMarket) -> None:
    url = f"{shared_market.base_url}/gcp"
    config = GcpConfig(key=SecretStr(GCP.key_of(shared_market)), compute_url=url, catalog_url=url, pace=0)
    ours = driver.connect(config)
    moved = driver.connect(replace(config, project="another-project"))
    with shared_market.control as control:
        controls = MarketControls(GCP, shared_market, control)
        controls.reset()
        number = "holdfast-sim/us-central1-a/train-e1-k3f9"
        assert (await ours.inspect(number)).state == "gone"
        for ask in (moved.inspect, moved.destroy, moved.stop):
            with pytest.raises(CredentialsRefused, match=r"project holdfast-sim.* project another-project"):
                await ask(number)
    await ours.close()
    await moved.close()
