"""What the market refuses.

MarketRefusal
├── OfferGone        the offer was rented, withdrawn or never existed. Remedy: another offer
├── BidTooLow        accepted, but it will not run; carries what exists. Remedy: destroy it, or raise the bid
├── NoCredit         the account is empty. Remedy: pay
├── DiskTooLarge     the offer's disk is smaller than the order's. Remedy: a smaller disk, or another offer
├── GpuTaken         somebody else has the GPUs. Remedy: wait, or another machine
└── NoSuchInstance   never was, or is destroyed. Remedy: none needed
"""

from decimal import Decimal
from enum import StrEnum

from holdfast.simcloud.model import Instance


class Gone(StrEnum):
    """Why an offer cannot be rented."""

    UNKNOWN = "unknown"
    HELD = "held"
    WITHDRAWN = "withdrawn"


class MarketRefusal(Exception):
    """The market says no."""


class OfferGone(MarketRefusal):
    """Nothing can be rented under this id."""

    def __init__(self, ask_id: int, why: Gone) -> None:
        super().__init__(f"offer {ask_id} is gone: {why}")
        self.ask_id = ask_id
        self.why = why


class BidTooLow(MarketRefusal):
    """The instance exists and its disk is billed, but its bid does not win."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(f"the bid of instance {instance.id} is below the current minimum")
        self.instance = instance


class NoCredit(MarketRefusal):
    """Nothing more is rented to an empty account."""

    def __init__(self) -> None:
        super().__init__("the account has no credit left")


class DiskTooLarge(MarketRefusal):
    """The machine does not have the disk that was ordered."""

    def __init__(self, ordered: Decimal, there: float) -> None:
        super().__init__(f"disk of {ordered} GB is more than the {there} GB of the offer")


class GpuTaken(MarketRefusal):
    """The instance cannot start now."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(f"the GPUs of instance {instance.id} are taken")
        self.instance = instance


class NoSuchInstance(MarketRefusal):
    """No tenancy has this id."""
