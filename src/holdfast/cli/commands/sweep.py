"""`holdfast sweep`: machines that cost money and that nobody owns."""

from typing import Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.session import DataDir, Json, with_holdfast
from holdfast.contracts.sweeping import Finding, Ruling, SweepResult


def sweep(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be ended; end and note nothing.")] = False,
    provider: Annotated[list[str] | None, typer.Option("--provider", help="Only this one; may be repeated.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Look for machines under our labels that no running workload owns, and end them.

    The same is done on a schedule. A stranger is ended only if it was ours, by the records, and is still there when
    the grace since its first sighting is over. Machines without a label of ours are never touched, and a listing that
    cannot be believed changes nothing.

    \b
    Examples:
      holdfast sweep --dry-run
      holdfast sweep --provider vast --json
    """
    with console.working("sweeping"):
        found = with_holdfast(
            data_dir, lambda holdfast: holdfast.sweep(providers=tuple(provider or ()), dry_run=dry_run)
        )
    if as_json:
        console.print_json(found)
    else:
        _show(found)
    return 1 if any(each.doubt for each in found) else 0


def _show(found: tuple[SweepResult, ...]) -> None:
    strangers = [finding for each in found for finding in each.findings]
    if strangers:
        headers = ("PROVIDER", "MACHINE", "LABEL", "STATE", "PRICE", "FIRST SEEN", "WHAT", "WHY")
        console.table(headers, [_row(each) for each in strangers], spare=("STATE", "FIRST SEEN", "PRICE"))
    for each in found:
        if each.doubt:
            console.say(f"{each.provider}: nothing was done: {each.doubt}")
        else:
            console.say(
                f"{each.provider}: {words.count(each.listed, 'machine')} of ours, {each.owned} owned by what runs, "
                f"{words.count(len(each.findings), 'stranger')}; {each.foreign} of others, left alone"
            )
        if each.copies:
            what = "would be dropped" if each.dry_run else "dropped"
            console.say(f"{each.provider}: copies of disks that nobody owns, {what}: {', '.join(each.copies)}")
        if each.orphans:
            what = "would be ended" if each.dry_run else "ended"
            console.say(f"replicas whose endpoint was ended by force, {what}: {', '.join(each.orphans)}")


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        finding.provider,
        finding.instance_id or "—",
        finding.label,
        finding.state,
        words.rate(finding.hourly),
        words.age(finding.first_seen),
        _what(finding),
        finding.reason,
    )


def _what(finding: Finding) -> str:
    if finding.ruling is Ruling.WAIT:
        return f"ended from {words.clock(finding.ends_at)} on"
    return "ended now" if finding.ruling is Ruling.END else "left alone"
