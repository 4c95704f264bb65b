"""What a demo promises, and whether it held."""

import time
from dataclasses import dataclass

from holdfast.cli import console
from holdfast.simcloud.control import SimControl

MARKET_SETTLES_WITHIN = 60.0  # seconds for the last destroyed machine to be gone


class DemoFailed(Exception):
    """The plot did not come to its end; the message says at which point."""


@dataclass(frozen=True)
class Finding:
    """One thing that a demo promises, and whether it held."""

    what: str
    holds: bool
    detail: str


def tell(findings: list[Finding]) -> bool:
    """Print them; whether all of them hold."""
    console.answer("")
    for finding in findings:
        console.answer(f"{'ok  ' if finding.holds else 'FAIL'}  {finding.what}: {finding.detail}")
    return all(finding.holds for finding in findings)


def nothing_left(market: SimControl) -> Finding:
    """By the market's own books: no machine alive, and none billed after it was let go."""
    until = time.monotonic() + MARKET_SETTLES_WITHIN
    while (alive := market.instances()) and time.monotonic() < until:
        time.sleep(0.25)
    bill = market.bill()
    machines = bill["lines"]
    open_ones = [each for each in machines if each["until"] is None]
    detail = f"{len(machines)} machines rented, {len(alive)} alive, ${float(bill['total']):.4f} billed"
    return Finding("no machine is left alive or billing", not alive and not open_ones, detail)
