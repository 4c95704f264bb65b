"""Prices that savings are shown against: each with where it is from, of when it is, and what is in it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from holdfast.contracts.machines import Terms


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What somebody asks for a GPU, in USD per GPU and hour, and of when that is known."""

    provider: str
    gpu: str
    kind: Terms
    hourly: Decimal
    region: str  # "": the source does not say
    dated: date  # from then on
    seen_until: date  # it was still so then
    unit: str  # what the price is of, such as an eighth of a machine
    includes: str  # what is in it
    whole: bool  # a machine that runs is in it; else something must be added, such as vCPUs and memory
    source: str
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckedReference:
    """A reference, and what speaks against it; nothing does where there are no flags."""

    reference: Reference
    flags: tuple[str, ...] = ()
    percent: float | None = None  # what would have been saved against it; None: there is nothing to compare
    chosen: bool = False  # what the sums are shown against
