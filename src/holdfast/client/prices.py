"""Prices on record: read them, bring them in, and survey the market by hand."""

import difflib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError

from holdfast.client.calls import ask, is_served
from holdfast.client.errors import NoPrices, NoWorker, UnknownGpu
from holdfast.client.translation import from_failure, from_rpc
from holdfast.contracts import activities, names
from holdfast.contracts.forecasts import ListForecastsInput, RecordedForecast
from holdfast.contracts.machines import Terms
from holdfast.contracts.market import (
    Asking,
    AskingsInput,
    Basis,
    ListPricesInput,
    MarketPoint,
    PricedSeries,
    PricesInput,
    RecordedPrices,
    RecordPricesInput,
    SurveyInput,
    SurveyResult,
)
from holdfast.policy.fitness import plain_gpu
from holdfast.policy.pricing import key_of
from holdfast.settings import MarketSettings

AT_ONCE = 600
"""Points in one message; each has some 300 bytes."""
_WITHIN = timedelta(hours=1)


async def points(
    client: Client,
    gpu: str | None,
    *,
    providers: Iterable[str] = (),
    regions: Iterable[str] = (),
    kind: Terms | None = None,
    basis: Basis | None = Basis.ASKED,
    since: datetime | None = None,
    until: datetime | None = None,
    held: bool = False,
) -> tuple[MarketPoint, ...]:
    """Points in the order of their series, each oldest first. Errors as `Holdfast.prices`."""
    gpus = () if gpu is None else await known_gpus(client, gpu)
    order = PricesInput(
        gpus=gpus,
        providers=tuple(providers),
        regions=tuple(regions),
        kinds=() if kind is None else (kind,),
        basis=basis,
        since=since,
        until=until,
        held=held,
    )
    return tuple([each async for each in _paged(client, order)])


async def _paged(client: Client, order: PricesInput) -> AsyncIterator[MarketPoint]:
    going: PricesInput | None = order
    while going is not None:
        page = await ask(client, activities.read_prices, going, queue=names.CONTROL_QUEUE, summary="prices on record")
        for point in page.points:
            yield point
        going = None if page.next is None else replace(going, after=page.next)


async def series(client: Client) -> tuple[PricedSeries, ...]:
    """Which series are on record."""
    found = await ask(
        client, activities.list_prices, ListPricesInput(), queue=names.CONTROL_QUEUE, summary="series of prices"
    )
    return tuple(found)


async def forecasts(client: Client, gpu: str | None) -> tuple[RecordedForecast, ...]:
    """The newest forecast of each series. Errors as `known_gpus`."""
    order = ListForecastsInput(gpus=() if gpu is None else await known_gpus(client, gpu))
    found = await ask(
        client, activities.list_forecasts, order, queue=names.CONTROL_QUEUE, summary="forecasts on record"
    )
    return tuple(found)


async def askings(client: Client, order: AskingsInput) -> tuple[Asking, ...]:
    """How surveys went, the newest first."""
    found = await ask(client, activities.list_askings, order, queue=names.CONTROL_QUEUE, summary="how surveys went")
    return tuple(found)


async def known_gpus(client: Client, gpu: str) -> tuple[str, ...]:
    """The names on record that are meant: just this one, else those that begin with it (H100: H100 SXM, H100 PCIE).

    Raises:
        UnknownGpu: none is.
    """
    return meant(gpu, await priced_gpus(client))


async def priced_gpus(client: Client) -> tuple[str, ...]:
    """Every GPU of which there is a price, in order."""
    found = await ask(
        client,
        activities.list_priced_gpus,
        ListPricesInput(),
        queue=names.CONTROL_QUEUE,
        summary="GPUs with prices on record",
    )
    return tuple(found)


def meant(gpu: str, known: Sequence[str]) -> tuple[str, ...]:
    """As `known_gpus`, among names that are known already."""
    wanted = plain_gpu(gpu)
    found = [each for each in known if plain_gpu(each) == wanted]
    found = found or [each for each in known if plain_gpu(each).startswith(f"{wanted} ")]
    if found and wanted:
        return tuple(found)
    if not known:
        raise UnknownGpu(
            "no price of any GPU is on record yet",
            remedy="a survey runs every hour; `holdfast market survey` asks the providers now, and "
            "`holdfast market import FILE.csv` brings a history in",
        )
    close = difflib.get_close_matches(wanted, [plain_gpu(each) for each in known], n=3, cutoff=0.5)
    alike = [each for each in known if plain_gpu(each) in close] or list(known)[:8]
    raise UnknownGpu(f"no price of a GPU {gpu!r} is on record; there are prices of {', '.join(alike)}")


def longer(gpu: str, known: Sequence[str]) -> tuple[str, ...]:
    """The names that begin with this one, and that it hides: it is a name on record itself, and means just that."""
    wanted = plain_gpu(gpu)
    if not any(plain_gpu(each) == wanted for each in known):
        return ()
    return tuple(each for each in known if plain_gpu(each).startswith(f"{wanted} "))


def require(found: Sequence[MarketPoint], about: str) -> Sequence[MarketPoint]:
    """Raise `NoPrices` where there is nothing."""
    if not found:
        raise NoPrices(f"no price is on record of {about}")
    return found


async def bring_in(
    client: Client, points: Sequence[MarketPoint], told: Callable[[int, int], None] = lambda _done, _all: None
) -> RecordedPrices:
    """Write points down, some at a time; `told` hears how many of how many. Repeated, it changes nothing."""
    ordered = sorted(points, key=lambda each: (each.gpu, each.provider, each.region, each.kind, each.basis, each.at))
    done = RecordedPrices()
    for begin in range(0, len(ordered), AT_ONCE):
        some = tuple(ordered[begin : begin + AT_ONCE])
        told(begin, len(ordered))
        part = await ask(
            client,
            activities.record_prices,
            RecordPricesInput(points=some),
            queue=names.CONTROL_QUEUE,
            summary=f"bring in {len(some)} prices",
        )
        goes_on = begin > 0 and key_of(ordered[begin - 1]) == key_of(some[0])
        ours = min(part.confirmed, done.held, int(goes_on))  # the last point of the message before was held back
        done = RecordedPrices(
            new=done.new + part.new,
            changed=done.changed + part.changed,
            known=done.known + part.known,
            kept=done.kept + part.kept,
            held=done.held + part.held - ours,
            confirmed=done.confirmed + part.confirmed - ours,
        )
    told(len(ordered), len(ordered))
    return done


async def survey(
    client: Client, providers: Sequence[str], settings: MarketSettings, *, gpus: Sequence[str] = ()
) -> SurveyResult:
    """One survey by hand, without pauses between GPUs: each provider's own pace holds.

    Raises:
        NoWorker: nobody works on the queue that decides.
    """
    if not await is_served(client, names.CONTROL_QUEUE):
        raise NoWorker("no control worker is running, and a survey needs one")
    order = SurveyInput(
        providers=tuple(providers),
        gpus=tuple(gpus) or settings.watched(),
        every=settings.every,
        fine_for=settings.fine_for,
        daily_for=settings.daily_for,
        feeds=not gpus,  # a part is no day's reading
        refit=await is_served(client, names.ANALYSIS_QUEUE),  # else who asks by hand would wait for nobody
    )
    try:
        done: SurveyResult = await client.execute_workflow(
            names.SURVEY,
            order,
            id=f"{names.SURVEY}/{uuid4().hex[:12]}",
            task_queue=names.CONTROL_QUEUE,
            result_type=SurveyResult,
            execution_timeout=_WITHIN,
            static_summary="what every provider asks for its GPUs, asked for by hand",
        )
        return done
    except WorkflowFailureError as err:
        raise from_failure(err.cause, doing="survey", queue=names.CONTROL_QUEUE) from err
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err
