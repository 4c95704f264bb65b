"""`holdfast doctor`: is everything there, and what to do if not."""

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from holdfast.cli import checks, console
from holdfast.cli.checks import Check, Verdict, attempt
from holdfast.cli.session import DataDir, Json, settings_for
from holdfast.client.errors import TemporalUnavailable
from holdfast.client.holdfast import Holdfast
from holdfast.settings import Settings

_ORDER: Final = {Verdict.OK: 0, Verdict.WARN: 1, Verdict.FAIL: 2}


def doctor(as_json: Json = False, data_dir: DataDir = None) -> int:
    """Check this installation: Python, settings, Temporal, workers, store, mirrors, records, providers, disk, clock.

    Every finding comes with what to do about it. Exit code 1 if something must be repaired. Changes nothing, rents
    nothing.

    \b
    Examples:
      holdfast doctor
      holdfast doctor --json | jq '.[] | select(.verdict == "FAIL")'
    """
    found = asyncio.run(_collect(settings_for(data_dir)))
    if as_json:
        console.print_json(found)
    else:
        headers = ("CHECK", "VERDICT", "FINDING", "REMEDY")
        console.table(headers, [_row(check) for check in found], spare=("REMEDY",))
        for check in found:
            if check.remedy:  # in full: a narrow terminal has cut what stands in the table
                console.say(f"hint: {check.what}: {check.detail}: {check.remedy}")
    worst = max(found, key=lambda check: _ORDER[check.verdict])
    return 1 if worst.verdict is Verdict.FAIL else 0


async def _collect(settings: Settings) -> list[Check]:
    here = [
        checks.python(),
        checks.programs(),
        checks.variables(dict(os.environ)),
        checks.disk(settings.data_dir),
        checks.notifications(settings),
    ]
    return [*here, *[check async for check in _servers(settings)], *[check async for check in _temporal(settings)]]


async def _servers(settings: Settings) -> AsyncIterator[Check]:
    yield await attempt("records", lambda: checks.records(settings))
    yield await attempt("store", lambda: checks.store(settings))
    for name in settings.mirrors:
        yield await attempt(f"mirror {name}", partial(checks.mirror, settings, name))
    yield await attempt("clock", lambda: checks.clock(settings))


async def _temporal(settings: Settings) -> AsyncIterator[Check]:
    """What can only be asked through a server; without one, that is the one finding."""
    try:
        async with Holdfast.connect(settings) as holdfast:
            client = holdfast.temporal
            yield await attempt("temporal", lambda: checks.temporal(client))
            yield await attempt("search attributes", lambda: checks.search_attributes(client))
            yield await attempt("workers", lambda: checks.workers(client, tuple(settings.providers)))
            for name in settings.providers:
                yield await attempt(f"provider {name}", partial(checks.provider, holdfast, name))
    except TemporalUnavailable as err:
        yield checks.fail("temporal", str(err), err.remedy)


def _row(check: Check) -> tuple[str, ...]:
    return check.what, check.verdict.value, check.detail, check.remedy
