"""Read what is on record, whole or from its newest end: an answer holds only so much, so lists come in pages."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio.client import Client

from holdfast.client import messages
from holdfast.client.calls import ask
from holdfast.client.errors import UnknownWorkload
from holdfast.contracts import activities, names
from holdfast.contracts.reports import Part, WorkloadReport

QUICK_READ = timedelta(seconds=10)  # an answer from the records


async def read(client: Client, name: str, *, part: Part | None = None, oldest: int | None = None) -> WorkloadReport:
    """One answer: the report with the newest of each list, or one list alone.

    Raises:
        UnknownWorkload: nothing is recorded under this name.
    """
    messages.handle_of(client, name)
    found = await ask(
        client,
        activities.report_workload,
        activities.ReportInput(workload=name, part=part, oldest=oldest),
        queue=names.CONTROL_QUEUE,
        summary=f"report on {name}",
        within=QUICK_READ,
    )
    if found is None:
        raise UnknownWorkload(f"there is no workload {name!r}")
    return found


async def read_whole(client: Client, name: str) -> WorkloadReport:
    """The report with its lists from their beginning."""
    report = await read(client, name)
    lists: dict[str, Any] = {part: await _whole(client, report, part) for part in Part}
    return replace(report, **lists)


async def newest_first(
    client: Client, name: str, part: Part, *, oldest: int | None = None
) -> AsyncIterator[tuple[Any, ...]]:
    """A list, or only so many of its oldest, in pages: the newest page first, in each the oldest entry first.

    Checkpoints that are retired meanwhile move the rest towards the beginning, and a page may tell some again.
    """
    while oldest != 0:
        report = await read(client, name, part=part, oldest=oldest)
        page = report.told(part)
        if not page:
            return
        yield page
        oldest = (report.total(part) if oldest is None else oldest) - len(page)


async def _whole(client: Client, report: WorkloadReport, part: Part) -> tuple[Any, ...]:
    if report.total(part) == len(report.told(part)):
        return report.told(part)
    pages = [page async for page in newest_first(client, report.workload, part, oldest=report.total(part))]
    return tuple(dict.fromkeys(entry for page in reversed(pages) for entry in page))
