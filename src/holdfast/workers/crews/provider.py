"""Provider: one worker for each account, on a queue of its own, so that one that is slow holds nobody else up."""

from temporalio.worker import Worker

from holdfast.activities.disks import DiskActivities
from holdfast.activities.machines import MachineActivities
from holdfast.activities.provider_watch import ProviderWatch
from holdfast.activities.surveying import SurveyActivities
from holdfast.client.errors import NoProvider
from holdfast.contracts import names
from holdfast.hosts.keys import load_or_create_key, public_key_line
from holdfast.providers import registry
from holdfast.providers.base import Provider
from holdfast.providers.wrappers.metered import metered
from holdfast.settings import ProviderSettings, SettingsError, variable
from holdfast.workers.shop import Shop


async def crew(shop: Shop) -> list[Worker]:
    """A worker per configured provider. That a provider answers is no part of being ready: its worker retries."""
    if not shop.settings.providers:
        raise NoProvider("no provider is configured, and a provider worker works for one")
    public_key = public_key_line(load_or_create_key(shop.settings.data_dir / "keys"))
    workers = []
    for name, config in shop.settings.providers.items():
        provider = metered(_open(name, config), shop.metrics)
        shop.stack.push_async_callback(provider.close)
        machines = MachineActivities(provider, ssh_public_key=public_key)
        disks = DiskActivities(provider)
        watch = ProviderWatch(provider, shop.client, metrics=shop.metrics)
        survey = SurveyActivities(provider)
        workers.append(
            shop.worker(
                names.provider_queue(name), [*machines.all(), *disks.all(), *survey.all(), watch.watch_provider]
            )
        )
    return workers


def _open(name: str, config: ProviderSettings) -> Provider:
    try:
        return registry.build(name, config)
    except registry.UnknownProvider as err:
        raise SettingsError(f"{variable('providers', name)}: {err}") from None
