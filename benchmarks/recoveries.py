"""The figures of `failover.py`: one recovery beside its physical limit, many of them by percentile, and the tables."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any

from holdfast.contracts.incidents import Incident, Phases

PHASES = tuple(each.name for each in fields(Phases))
LADDER = "auto"
AIM_WARM = 10.0  # seconds from the loss of the machine to progress, with a standby
AIM_OVER = 5.0  # seconds beyond boot and bytes, without one
AIMED_AT = ("realistic", 1_000_000_000)  # the boots and the size for which the aims hold


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """One, in seconds and bytes."""

    strategy: str  # that put the work on a machine again
    cause: str
    in_place: bool  # on the machine that was lost
    tries: int
    phases: dict[str, float]
    took: float  # last sign of life → first progress
    boot_drawn: float  # by the market, for this very boot; 0: nothing had to boot
    fetched: int  # bytes that came over the wire
    copied: float  # bytes in a second by the plain copy that was made right after it
    limit: float  # that boot, and those bytes as fast as that copy
    least: float  # that boot, and those bytes as fast as the best copy of all

    @property
    def over(self) -> float:
        return self.took - self.limit

    @property
    def over_least(self) -> float:
        return self.took - self.least

    def figure(self, name: str) -> float:
        """A phase, or a figure of the whole, by its name."""
        return self.phases[name] if name in self.phases else float(getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All recoveries of one strategy, for one size and one kind of boots."""

    asked: str  # a strategy, or the ladder
    recoveries: tuple[Recovery, ...]

    def quantile(self, name: str, share: float) -> float:
        return quantile([each.figure(name) for each in self.recoveries], share)

    def took_by(self) -> str:
        """Which strategies did it, and how often."""
        return ", ".join(
            f"{name} {times}" for name, times in Counter(each.strategy for each in self.recoveries).items()
        )


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One size and one kind of boots."""

    boots: str
    size: int  # bytes of the workspace
    copied: float  # bytes in a second by the best plain copy before all of them, synced to the disk
    raw_get: float | None  # bytes in a second fetched from the store and thrown away; None: not measured
    load: tuple[float, float]  # average of a minute, before and after
    measured: tuple[Measured, ...]

    def of(self, asked: str) -> Measured | None:
        return next((each for each in self.measured if each.asked == asked and each.recoveries), None)


def recovery(
    incident: Incident, *, in_place: bool, boot_drawn: float, fetched: int, copied: float, best: float
) -> Recovery:
    """`copied` and `best`: bytes in a second by a plain copy, that after this recovery and the fastest of all."""
    assert incident.recovery_time is not None, "only what is over is measured"
    return Recovery(
        strategy=str(incident.strategy),
        cause=incident.cause.value,
        in_place=in_place,
        tries=len(incident.attempts),
        phases={name: _seconds(getattr(incident.phases, name)) for name in PHASES},
        took=_seconds(incident.recovery_time),
        boot_drawn=boot_drawn,
        fetched=fetched,
        copied=copied,
        limit=boot_drawn + fetched / copied,
        least=boot_drawn + fetched / max(best, copied),
    )


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 100) * len(ordered) // 100) - 1)]


def as_json(cell: Cell) -> dict[str, Any]:
    """Every single recovery, and what the tables show."""
    found = asdict(cell)
    for told, each in zip(found["measured"], cell.measured, strict=True):
        for row, one in zip(told["recoveries"], each.recoveries, strict=True):
            row["over"], row["over_least"] = one.over, one.over_least
        if each.recoveries:
            told["seconds"] = {
                name: {"p50": each.quantile(name, 0.5), "p95": each.quantile(name, 0.95)}
                for name in (*PHASES, "took", "limit", "over", "least", "over_least")
            }
    return found


def table(cell: Cell) -> str:
    """For people: phases, the whole, the limit, and how far above it; then the ladder and the aims."""
    shown = [each for each in cell.measured if each.recoveries]
    raw = "" if cell.raw_get is None else f", raw GET {cell.raw_get / 1e6:.0f} MB/s"
    lines = [
        f"{size_of(cell.size)}, {cell.boots} boots: plain copy {cell.copied / 1e6:.0f} MB/s at best, "
        f"{_after(shown) / 1e6:.0f} MB/s after a recovery{raw}, "
        f"load {cell.load[0]:.1f} before, {cell.load[1]:.1f} after",
        f"{'':10}" + "".join(f"{f'{each.asked} ({len(each.recoveries)})':>18}" for each in shown),
        f"{'seconds':10}" + f"{'p50':>9}{'p95':>9}" * len(shown),
    ]
    names = {
        **{name: name for name in PHASES},
        "took": "RECOVERY",
        "limit": "limit",
        "over": "over it",
        "least": "least",
        "over_least": "over that",
    }
    for name, title in names.items():
        lines.append(f"{title:10}" + "".join(_pair(each, name) for each in shown))
    lines.append(f"{'ratio':10}" + "".join(_ratio(each) for each in shown))
    return "\n".join([*lines, *_ladder(cell), *_aims(cell)])


def _after(shown: list[Measured]) -> float:
    """What a plain copy after a recovery did, in the middle; 0: there was none."""
    return quantile([one.copied for each in shown for one in each.recoveries] or [0.0], 0.5)


def size_of(size: int) -> str:
    """In words."""
    return f"{size / 1e9:g} GB" if size >= 1e9 else f"{size / 1e6:g} MB"


def _pair(measured: Measured, name: str) -> str:
    return f"{measured.quantile(name, 0.5):9.2f}{measured.quantile(name, 0.95):9.2f}"


def _ratio(measured: Measured) -> str:
    """Of recovery to limit, where there is a limit that is no mere zero."""
    ratios = [each.took / each.limit for each in measured.recoveries if each.limit >= 0.1]
    if len(ratios) < len(measured.recoveries):
        return f"{'-':>9}{'-':>9}"
    return f"{quantile(ratios, 0.5):9.2f}{quantile(ratios, 0.95):9.2f}"


def _ladder(cell: Cell) -> list[str]:
    # One that starts without the saved work is soon done, and is no match for those that bring it along.
    ladder, others = cell.of(LADDER), (LADDER, "coldstart")
    singles = [each for each in cell.measured if each.asked not in others and each.recoveries]
    if ladder is None or not singles:
        return []
    best = min(singles, key=lambda each: each.quantile("took", 0.5))
    told = []
    for share in (0.5, 0.95):
        ours, theirs = ladder.quantile("took", share), best.quantile("took", share)
        told.append(
            f"p{share * 100:.0f} {ours:.2f} s to {theirs:.2f} s ({ours / theirs:.2f} x, {ours - theirs:+.2f} s)"
        )
    return [
        f"the ladder ({ladder.took_by()}) beside the best strategy that keeps the work, {best.asked}: {'; '.join(told)}"
    ]


def _aims(cell: Cell) -> list[str]:
    if (cell.boots, cell.size) != AIMED_AT:
        return []
    return [_aim(each) for each in cell.measured if each.recoveries and each.asked != LADDER]


def _aim(measured: Measured) -> str:
    warm = measured.asked == "warmpool"
    what, most = ("took", AIM_WARM) if warm else ("over", AIM_OVER)
    found = measured.quantile(what, 0.95)
    aim = f"p95 under {most:g} s" if warm else f"p95 within {most:g} s of boot plus bytes"
    strict = measured.quantile("over_least", 0.95)
    best = "" if warm else f"; by the best copy of all {strict:.2f} s, {_judged(strict, most)}"
    return f"aim for {measured.asked}, {aim}: {found:.2f} s, {_judged(found, most)}{best}"


def _judged(found: float, most: float) -> str:
    return "met" if found < most else "MISSED"


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
