"""`holdfast offers`: what the market would rent now."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import DataDir, Json, with_holdfast
from holdfast.client.errors import HoldfastError
from holdfast.contracts.failover import RankedOffer
from holdfast.contracts.machines import Offer, Requirements, Terms


def offers(
    *,
    gpu: Annotated[str | None, typer.Option("--gpu", help="GPU model, such as 'RTX 4090'; any if left out.")] = None,
    count: Annotated[int, typer.Option("--gpu-count", min=1, help="GPUs in one machine.")] = 1,
    gpu_memory: Annotated[float, typer.Option("--gpu-memory-gb", min=0, help="Memory of each GPU, in GB.")] = 0,
    disk: Annotated[
        int, typer.Option("--disk-gb", min=1, max=16_384, help="Disk to rent, in GB; part of the price.")
    ] = 20,
    max_price: Annotated[str | None, typer.Option("--max-price", metavar="USD", help="USD per hour, all in.")] = None,
    on_demand: Annotated[bool, typer.Option("--on-demand", help="Machines that nobody can outbid.")] = False,
    region: Annotated[list[str] | None, typer.Option("--region", help="Country code; may be repeated.")] = None,
    provider: Annotated[list[str] | None, typer.Option("--provider", help="Ask only this one; may be repeated.")] = (
        None
    ),
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows to show.")] = 20,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Show what is left out of the answer instead, and why.")
    ] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show what the market would rent now, cheapest first.

    A provider that gives no answer is named, and the others' offers are shown. When nothing fits, the error names what
    comes nearest.

    \b
    Examples:
      holdfast offers --gpu "RTX 4090" --max-price 0.40
      holdfast offers --gpu-memory-gb 80 --region US --region DE --json
      holdfast offers --gpu "RTX 4090" --max-price 0.20 --rejected
    """
    wanted = Requirements(
        gpu=gpu,
        gpu_count=count,
        gpu_memory_gb=gpu_memory,
        disk_gb=disk,
        terms=Terms.ON_DEMAND if on_demand else Terms.INTERRUPTIBLE,
        max_hourly=_price(max_price),
        regions=tuple(each.upper() for each in region or ()),
    )
    if rejected:
        _show_rejected(wanted, tuple(provider or ()), limit, as_json=as_json, data_dir=data_dir)
        return
    asked = with_holdfast(data_dir, lambda holdfast: holdfast.require_offers(wanted, providers=tuple(provider or ())))
    _name_silent(asked.silent)
    if asked.without:
        console.say(f"nothing that fits at {', '.join(asked.without)}; --rejected shows what they have")
    found = asked.offers
    if as_json:
        console.print_json(found[:limit])
        return
    console.table(_HEADERS, [_row(offer) for offer in found[:limit]], spare=("DOWN", "CPU", "MEMORY", "OFFER"))
    _tell_of_more(len(found) - limit)


def _show_rejected(
    wanted: Requirements, providers: tuple[str, ...], limit: int, *, as_json: bool, data_dir: Path | None
) -> None:
    asked = with_holdfast(data_dir, lambda holdfast: holdfast.left_out(wanted, providers=providers))
    _name_silent(asked.silent)
    found = asked.offers
    if as_json:
        console.print_json(found[:limit])
    elif found:
        headers = ("PRICE", "GPU", "REGION", "PROVIDER", "MACHINE", "OFFER", "WHY NOT")
        console.table(headers, [_rejected_row(offer) for offer in found[:limit]], spare=("OFFER", "MACHINE"))
        _tell_of_more(len(found) - limit)
    else:
        console.say("nothing is left out")


def _name_silent(silent: Mapping[str, HoldfastError]) -> None:
    for name, reason in silent.items():
        console.say(f"warning: {name} gave no answer: {reason}")
        console.say(f"hint: {reason.remedy}")


def _tell_of_more(many: int) -> None:
    if many > 0:
        console.say(f"{many} more; --limit shows them")


def _rejected_row(offer: RankedOffer) -> tuple[str, ...]:
    return (
        words.rate(offer.hourly),
        f"{offer.gpu_count}x {offer.gpu}",
        offer.region or "—",
        offer.provider,
        offer.machine_id or "—",
        offer.offer_id,
        offer.reason,
    )


_HEADERS = (
    "PRICE",
    "GPU",
    "GPU MEMORY",
    "CPU",
    "MEMORY",
    "REGION",
    "RELIABILITY",
    "DOWN",
    "PROVIDER",
    "MACHINE",
    "OFFER",
)


def _price(given: str | None) -> Decimal | None:
    if given is None:
        return None
    try:
        price = Decimal(given)
    except InvalidOperation:
        price = Decimal(0)
    if not price.is_finite() or price <= 0:
        raise UsageProblem(f"--max-price {given!r} is not a price", remedy="give USD per hour, such as 0.45")
    return price


def _row(offer: Offer) -> tuple[str, ...]:
    return (
        words.rate(offer.hourly),
        f"{offer.gpu_count}x {offer.gpu}",
        f"{offer.gpu_memory_gb:.0f} GB",
        f"{offer.cpu_cores:.0f}",
        f"{offer.memory_gb:.0f} GB",
        offer.place or offer.region or "—",
        "—" if offer.reliability is None else f"{offer.reliability:.1%}",
        "—" if offer.download_mbps is None else f"{offer.download_mbps:.0f} Mb/s",
        offer.provider,
        offer.machine_id or "—",
        offer.offer_id,
    )
