"""`holdfast finetune templates|validate|estimate`: what can be known of a fine-tuning before anything is rented."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, progress, words
from holdfast.cli.session import DataDir, Json, settings_for
from holdfast.contracts.training import DataFormat

if TYPE_CHECKING:
    from holdfast.contracts.training import DatasetReport, Template, TrainingMemory

app = typer.Typer(
    help="Fine-tune a model; check data and GPU memory first.", no_args_is_help=True, rich_markup_mode=None
)

TemplateName = Annotated[
    str, typer.Option("--template", "-t", metavar="NAME", help="Where to begin; `finetune templates` lists them.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="Change a parameter, such as lora.rank=8; may be repeated."),
]
_MIB = 1024 * 1024
_SAMPLE_SHOWN = 400  # characters of an example, on a terminal
_INVALID = 3


@app.command("templates")
def templates(as_json: Json = False) -> None:
    """List the templates: methods with parameters that are known to work, to begin from.

    \b
    Examples:
      holdfast finetune templates
      holdfast finetune templates --json | jq '.[] | select(.name == "lora").parameters'
    """
    from holdfast.training.cookbook import templates as known  # noqa: PLC0415 (reads files)

    found = list(known().values())
    if as_json:
        console.print_json(found)
        return
    headers = ("TEMPLATE", "METHOD", "DATA", "RATE", "EPOCHS", "TOKENS", "PER STEP", "ABOUT")
    console.table(headers, [_row(each) for each in found], spare=("PER STEP", "EPOCHS", "TOKENS", "RATE"))


@app.command("validate")
def validate(
    *,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The data set, in JSON lines.")],
    form: Annotated[
        DataFormat | None, typer.Option("--format", help="What its lines hold; left out: as the first one says.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at a data set: what it holds, its SHA-256, and every line that cannot be trained on. Nothing is changed.

    Exit code 3 says that it cannot be trained on as it is.

    \b
    Examples:
      holdfast finetune validate train.jsonl
      holdfast finetune validate pairs.jsonl --format preference --json | jq .sha256
    """
    from holdfast.client import tuning  # noqa: PLC0415 (so that --help is answered at once)

    with progress.bar() as show:
        report = asyncio.run(
            tuning.look_at(path, form=form, told=lambda done, of: show("MiB", done // _MIB, of // _MIB))
        )
    if as_json:
        console.print_json(report)
    else:
        _show_report(report)
    if not report.usable:
        raise typer.Exit(_INVALID)


@app.command("estimate")
def estimate(
    *,
    base: Annotated[
        str, typer.Option("--base", metavar="MODEL", help="hf:org/name[@revision], a folder, or a config.json.")
    ],
    template: TemplateName = "lora",
    change: Changes = None,
    gpus: Annotated[int, typer.Option("--gpus", min=1, max=16, help="GPUs in the machine.")] = 1,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Say how much GPU memory a fine-tuning takes, what it is for, and on what the figures stand.

    \b
    Examples:
      holdfast finetune estimate --base hf:Qwen/Qwen3-8B
      holdfast finetune estimate --base ./llama --template qlora --set max_length=4096 --set batch=2
      holdfast finetune estimate --base ./llama --template full --json | jq .gpu_memory_gb
    """
    from holdfast.client import tuning  # noqa: PLC0415 (so that --help is answered at once)

    chosen = tuning.parameters(tuning.template(template), change or ())
    told = asyncio.run(tuning.estimate(base, chosen, gpus=gpus, settings=settings_for(data_dir)))
    if as_json:
        console.print_json(told)
        return
    _show_memory(told)


def _row(each: Template) -> tuple[str, ...]:
    told = each.parameters
    return (
        each.name,
        told.method.value,
        ", ".join(each.formats),
        f"{told.chosen_rate:g}",
        f"{told.epochs:g}",
        f"{told.max_length}",
        f"{told.batch * told.accumulate}",
        each.about,
    )


def _show_report(report: DatasetReport) -> None:
    console.facts(
        {
            "file": f"{report.path}, {words.size(report.bytes_total)}",
            "SHA-256": report.sha256,
            "format": report.format.value if report.format else "not known",
            "examples": f"{report.examples}, of {report.shortest} to {report.longest} characters, "
            f"half of them up to {report.median}",
            "duplicates": f"{report.duplicates}; they are kept" if report.duplicates else "none",
            "not trained on": ", ".join(f"{each.name} ({words.count(each.lines, 'line')})" for each in report.other_keys)
            or "nothing",
        }
    )
    for number, each in enumerate(report.sample, start=1):
        shown = each if len(each) <= _SAMPLE_SHOWN else f"{each[:_SAMPLE_SHOWN]}… ({len(each)} characters)"
        console.answer(f"\nexample {number}: {console.harmless(shown, sys.stdout)}")
    for what, refuses, count in (("told only", False, report.warnings), ("mistakes", True, report.refusals)):
        shown_here = [each for each in report.remarks if each.refuses is refuses]
        if shown_here:
            console.answer(f"\n{what}: {count}")
        for remark in shown_here:
            console.answer(f"  line {remark.line}: {remark.text}" if remark.line else f"  {remark.text}")
        if count > len(shown_here):
            console.answer(f"  and {count - len(shown_here)} more")
    console.answer("\nit can be trained on" if report.usable else "\nit cannot be trained on as it is")


def _show_memory(told: TrainingMemory) -> None:
    rows = [(each.name, words.size(each.size), each.formula, each.source) for each in told.parts]
    rows.append(("together", words.size(told.total), "on each GPU", ""))
    console.table(("FOR", "GPU MEMORY", "COUNTED AS", "AFTER"), rows, spare=("AFTER",))
    console.answer(
        f"\n{told.method} learns {told.learned:,} of {told.parameters:,} parameters and fits a GPU of "
        f"{told.gpu_memory_gb:g} GB\n{told.assumed}"
    )
