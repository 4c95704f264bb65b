"""`holdfast why NAME`: the record of a placement decision, the rejected offers included."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.errors import DIFFERS
from holdfast.cli.session import DataDir, Json, Name, with_holdfast
from holdfast.contracts.failover import Decision, RankedOffer

SHOWN = 10
_SAME = {True: "the same", False: "OTHERWISE", None: "not known"}


def why(
    name: Name,
    *,
    epoch: Annotated[int | None, typer.Option("--epoch", help="Only the decision that led to this epoch.")] = None,
    newest: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, show_default="10; all with --json", help="So many, the newest."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Every decision since it started.")] = False,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Make each decision again from its workflow's history, and compare.")
    ] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Explain why a machine was chosen, and why others were not.

    With --recompute the decisions are made again by the same policy from what the server's histories hold: the offers,
    what was remembered, what had failed. Ends with code 22 when one comes out otherwise than it is on record. Histories
    are kept as long as the Temporal namespace keeps those of workflows that ended.

    \b
    Examples:
      holdfast why train
      holdfast why train --epoch 2
      holdfast why train --all
      holdfast why train --recompute
    """
    limit = None if everything else newest or (None if as_json else SHOWN)
    wanted = None if limit is None else limit + 1  # one more tells whether there are more
    found = with_holdfast(data_dir, lambda holdfast: holdfast.why(name, epoch=epoch, newest=wanted))
    decisions = found if limit is None else found[-limit:]
    if recompute:
        _recompute(name, decisions, as_json, data_dir)
        return
    if as_json:
        console.print_json(decisions)
        return
    if not decisions:
        console.say("no decision is recorded" + (f" for epoch {epoch}" if epoch is not None else ""))
    if decisions and epoch is not None and decisions[-1].epoch != epoch:
        console.say(
            f"no ranking began with epoch {epoch}; this is the one before it, whose offers were tried in turn. "
            "A standby of a pool is taken without one"
        )
    for decision in decisions:
        _show(decision)
    if len(decisions) < len(found):
        console.say(f"the newest {len(decisions)}; `holdfast why {name} --all` shows those before them too")


def _recompute(name: str, decisions: Sequence[Decision], as_json: bool, data_dir: Path | None) -> None:
    again = with_holdfast(data_dir, lambda holdfast: holdfast.recompute(name, decisions))
    if as_json:
        console.print_json(again)
    elif again:
        rows = [(f"e{e.epoch}", words.clock(e.made_at), e.occasion, e.strategy, _SAME[e.same], e.why) for e in again]
        console.table(("EPOCH", "MADE", "OCCASION", "STRATEGY", "AGAIN", "WHY"), rows)
    else:
        console.say("no decision is recorded")
    if any(each.same is False for each in again):
        raise typer.Exit(DIFFERS)


def _show(decision: Decision) -> None:
    console.answer(f"e{decision.epoch} {decision.occasion}, by {decision.strategy}, {words.clock(decision.made_at)}")
    if decision.times > 1:
        console.answer(f"  {decision.times} times in a row until {words.clock(decision.last_made_at)}; the last time:")
    console.answer(f"  {decision.reason}")
    headers = ("SCORE", "PRICE", "GPU", "REGION", "PROVIDER", "OFFER", "WHY")
    if decision.chosen:
        console.table(headers, [_row(offer) for offer in decision.chosen], title="ranked, best first")
    if decision.rejected:
        title = f"rejected: {len(decision.rejected)} of {decision.rejected_total} shown"
        console.table(headers, [_row(offer) for offer in decision.rejected], title=title)
    console.answer("")


def _row(offer: RankedOffer) -> tuple[str, ...]:
    return (
        "—" if offer.score is None else f"{offer.score:.4f}",
        words.rate(offer.hourly),
        f"{offer.gpu_count}x {offer.gpu}",
        offer.region or "—",
        offer.provider,
        offer.offer_id,
        offer.reason,
    )
