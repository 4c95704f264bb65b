"""Write the reference of the command line, docs/cli.md, from the commands themselves.

python -m holdfast.cli.reference > docs/cli.md
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from holdfast.cli import app, errors

WIDTH = 100

INTRO = """\
# The `holdfast` command

This page is written by `python -m holdfast.cli.reference`; a test compares the two.

Answers go to stdout, everything else (progress, hints, errors) to stderr. `--json` prints exactly one JSON document to
stdout and nothing else: durations are seconds, money is an exact decimal number in a string (US dollars), times are
ISO 8601 with their zone, an unknown value is `null`. On an error stdout stays empty and the exit code tells which.

| command | its JSON document |
|---|---|
| `run` | `name`, `run_id`, `cheapest` (an offer), `workdir` (checkpoint zero or `null`); with `--follow` how it ended |
| ↳ a provider is silent | `unanswered`: by provider, why it gave no answer and was passed over |
| `ps` | a list: `name`, `phase`, `running`, `provider`, `gpu`, `epoch`, `hourly`, `started_at`, `closed_at` |
| `status` | `status` (phase, reason, epoch, `lease`, `head`), `live` (telemetry or `null`), `save_trouble`, times |
| ↳ ended from outside | `ended_by_force`, `left_behind` (machines that may still cost money), `from_records` |
| `pause`, `resume`, `failover`, `stop` | `phase` that was reached, `detail` |
| `drill` | `passed`, `moved`, `incident` (as in `report`), `cost`, `budget`, `rto`, `rto_met` |
| `report` | totals against `rto` and `rpo`, `cost`, and lists: `incidents`, `leases`, `checkpoints`, `decisions` |
| ↳ an incident | `cause`, `reason`, `strategy`, `phases` (seconds), `recovery_time`, `work_lost`, `cost`, `attempts` |
| `cost` | `total`, `lines` or with `--by` `groups`, and `drift` against the providers' own bills |
| `savings` | `basis`, `total` and `lines` (times, sums, `saved`, `percent`), with `--rows` also `rows` |
| ↳ with `--against`, `--monthly` | `against`: `total`, `lines`, `months`, `rows` and `references` (with `flags`) |
| `market history`, `market compare` | a list of series: `last`, `low`, `high`, `change`, `missing`, `points`, … |
| `market movers` | a list, greatest first: `gpu`, `provider`, `was`, `now`, `change`, `unchanged` |
| `market ls` | a list of series: `gpu`, `provider`, `region`, `kind`, `points`, `held`, `first`, `last` |
| `market survey` | `at`, and `lines`: by provider `answered`, `offers`, `recorded`, `feed`, `detail`; `refits` |
| `market import` | `shape`, `lines`, `points`, `folded`, `refused` (each with its reason), `recorded` |
| `market references` | a list: `reference` (price, source, date, region, unit) and `flags` |
| `budget set`, `budget show` | a list: `budget` (`scope`, `name`, `span`, `amount`), `spent`, `reserved` |
| `why` | a list of decisions: `chosen` and `rejected` offers, each with `score` and `reason` |
| `offers` | a list of offers, cheapest first; code 5 when nothing fits, 0 while any provider answers with something |
| ↳ with `--rejected` | a list of what is left out, cheapest first, each with its `reason`; empty when all fit |
| `market forecast` | `answer`, `why`, `last`, `hours` (the path and its ranges), `skills`, `drift` |
| ↳ with `--recorded` | a list: `key`, `made_at`, `known_until`, `answer`, `last`, `leads`, `alarm` |
| `market when` | `advice` (`wait`, `reserve`, `until`, `expected`, `chance`, …), `cost_now`, `cost_expected` |
| `market backtest` | `rows` by group and lead, and how many series were judged |
| `checkpoint ls` | a list, oldest first: `sequence`, `epoch`, `reason`, `taken_at`, `bytes_total`, `manifest`, … |
| `checkpoint save` | the new checkpoint, as in `ls` |
| `checkpoint verify` | `chunks`, `bytes_read`, `corrupt` (empty: sound), `duration` |
| `checkpoint restore` | `files`, `bytes_total`, `bytes_fetched`, `duration` |
| `checkpoint forget` | `forgotten`, `kept`: how many |
| `pool create` | `name`, `run_id` |
| `pool ls` | a list: `name`, `phase`, `target`, `standbys`, `hourly`, `taken`, `lost` |
| `pool show`, `pool resize`, `pool drain`, `pool rm` | the pool, as in `ls` |
| `endpoint deploy` | `name`, `run_id`, `token` (told once) |
| `endpoint ls` | a list: `name`, `phase`, `reason`, `replicas`, `in_flight`, `waiting`, `hourly`, `wakes`, … |
| `endpoint show`, `endpoint sleep`, `endpoint scale`, `endpoint rm` | the endpoint, as in `ls` |
| `endpoint wake` | `phase`, `routes` (the replicas that can serve) |
| `endpoint report` | a list of wakes: `replica`, `woken_from`, `asked_at`, `ready_at`, `phases` |
| `endpoint token`, `deployment token` | `name`, `token` |
| `deploy` | `name`, `release`, `endpoint`, `token` (with the first release), `status` (as in `deployment ls`) |
| `deployment ls` | a list: `name`, `phase`, `reason`, `serving`, `kept`, `releases` |
| `deployment show`, `deployment rollback`, `deployment retire` | the deployment, as in `ls` |
| `model register` | the version: `name`, `version`, `kind`, `source`, `digest`, `bytes_total`, … |
| `model ls`, `model rm` | a list of versions, as `model register` prints one |
| `model show` | `model` (a version), `memory` by part, `recipe` |
| `doctor` | a list: `what`, `verdict` (`ok`, `warn`, `FAIL`), `detail`, `remedy` |
| `sweep` | a list, one for each provider: `owned`, `listed`, `foreign`, `findings`, `doubt` |
| `notify ls` | a list, newest first: `event_id`, `kind`, `document`, `tries`, `delivered_at`, `last_error`, … |
| `notify test` | the message, as in `notify ls` |
| `machines ls` | a list: `provider`, `machine_id`, `good`, `bad`, `neutral`, `banned_until`, `ban_reason` |
| `machines history` | `machine` and `stays` |
| `machines ban`, `machines unban` | the machine as it is remembered then |
| `simulate` | what was asked for, `rows` (one for each policy and set of zones) and `left_out` |
| `sim instances`, `sim offers`, `sim bill` | the market's own truth |
| `sim kill` and the other levers | `instances`: the ids that were hit |
| `records current` | `found`, `needed` |
| `version` | versions by name, `null` for what is not installed |
"""


def write() -> str:
    """The whole page."""
    parts = [INTRO, *_exit_codes(), "## Commands\n"]
    root = typer.main.get_command(app.cli)
    with typer.Context(root, info_name="holdfast", terminal_width=WIDTH, help_option_names=["-h", "--help"]) as context:
        parts += list(_describe(root, context, depth=2))
    return "\n".join(parts).rstrip() + "\n"


def _exit_codes() -> Iterator[str]:
    meanings: dict[int, list[str]] = {code: [text] for code, text in errors.OTHER_CODES.items()}
    for row in errors.TABLE:
        known = meanings.setdefault(row.code, [])
        if row.code not in errors.OTHER_CODES and row.meaning not in known:
            known.append(row.meaning)
    yield "## Exit codes\n\n| code | meaning |\n|---|---|"
    for code in sorted(meanings):
        yield f"| {code} | {'; '.join(meanings[code])} |"
    yield ""


def _describe(group: Any, context: Any, depth: int) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = typer.Context(command, parent=context, info_name=name, terminal_width=WIDTH)
        yield f"{'#' * (depth + 1)} `{inner.command_path}`\n"
        yield f"```text\n{command.get_help(inner).rstrip()}\n```\n"
        if isinstance(command, TyperGroup):
            yield from _describe(command, inner, depth + 1)


if __name__ == "__main__":
    os.environ.pop("HOLDFAST_DATA_DIR", None)
    sys.stdout.write(write())
