"""`holdfast finetune …`: check data and memory without any server, then submit, watch and cancel fine-tunings."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import console, progress, words
from holdfast.cli.amounts import dollars
from holdfast.cli.commands import job as jobs
from holdfast.cli.comparing import show_compared, words_of_release
from holdfast.cli.errors import JOB_ENDS, UsageProblem
from holdfast.cli.serve_options import options_from
from holdfast.cli.session import DataDir, Json, settings_for, with_holdfast
from holdfast.contracts.training import DataFormat

if TYPE_CHECKING:
    from holdfast.client.fine_tuning import SubmittedTuning, TuneWish
    from holdfast.client.holdfast import Holdfast
    from holdfast.contracts.fine_tuning import FineTuneStatus
    from holdfast.contracts.training import DatasetReport, Template, TrainingMemory

app = typer.Typer(
    help="Fine-tune a model; check data and GPU memory first.", no_args_is_help=True, rich_markup_mode=None
)

TuningName = Annotated[str, typer.Argument(metavar="NAME", help="The fine-tuning's name.")]
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
_NOT_FIT = 29  # as of `holdfast deploy`


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


@app.command("submit")
def submit(
    *,
    name: TuningName,
    base: Annotated[
        str, typer.Option("--base", metavar="MODEL", help="hf:org/name[@revision], s3://bucket/prefix or a folder.")
    ],
    dataset: Annotated[Path, typer.Option("--dataset", metavar="FILE", help="The data set, in JSON lines.")],
    max_hourly: Annotated[str, typer.Option("--max-hourly", metavar="USD", help="USD per hour for the machine.")],
    template: TemplateName = "lora",
    change: Changes = None,
    model: Annotated[str, typer.Option("--model", help="Under which the result is registered; left out: NAME.")] = "",
    gpu: Annotated[
        str | None, typer.Option("--gpu", help="GPU model: on another kind the last bits may differ.")
    ] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=1, max=16, help="GPUs in the machine.")] = 1,
    gpu_memory: Annotated[
        float | None, typer.Option("--gpu-memory-gb", min=0.1, help="Of each GPU; left out: as estimated.")
    ] = None,
    budget: Annotated[str | None, typer.Option("--budget", metavar="USD", help="For all of it.")] = None,
    job: Annotated[
        Path | None, typer.Option("--job", metavar="FILE", help="Further fields of a job's spec, in YAML.")
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="With Python 3.10 and PyTorch 2.6, or newer.")] = None,
    setup: Annotated[
        str | None, typer.Option("--setup", help="Instead of what installs the trainer's libraries; '': nothing.")
    ] = None,
    python: Annotated[str, typer.Option("--python", help="Of the image.")] = "python3",
    token_secret: Annotated[
        str, typer.Option("--token-secret", metavar="NAME", help="Secret of the host workers with the hub's token.")
    ] = "",
    deploy: Annotated[
        str, typer.Option("--deploy", metavar="NAME", help="Put the result behind this name once it is registered.")
    ] = "",
    deploy_recipe: Annotated[
        str, typer.Option("--deploy-recipe", metavar="NAME", help="How it is served; left out: by vLLM.")
    ] = "",
    deploy_option: Annotated[
        list[str] | None,
        typer.Option("--deploy-option", metavar="KEY=VALUE", help="As --option of `holdfast deploy`; repeatable."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--detach", help="Stay until it has ended.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Fine-tune a model, and register what it became with its lineage.

    Data, parameters, GPU memory and the market are checked first, and whether a gated base would be given to us. With
    --wait the exit code says how it ended, as that of `holdfast job wait` does; 29: registered, and not fit to serve.

    With --deploy it is put behind a name, as by `holdfast deploy`, for machines of at most --max-hourly: its endpoint
    gets the traffic once it answers as tuned, and not as the base does. The token that callers need is shown once.

    \b
    Examples:
      holdfast finetune submit support --base hf:Qwen/Qwen3-8B --dataset train.jsonl --max-hourly 0.60
      holdfast finetune submit big --template qlora --base ./llama --dataset train.jsonl --max-hourly 2 --set epochs=1
      holdfast finetune submit support --base ./qwen --dataset train.jsonl --max-hourly 1 --job job.yaml --wait
      holdfast finetune submit support --base hf:Qwen/Qwen3-8B --dataset train.jsonl --max-hourly 0.60 --deploy chat
    """
    if (deploy_recipe or deploy_option) and not deploy:
        raise UsageProblem("--deploy-recipe and --deploy-option say how --deploy is done", remedy="add --deploy NAME")
    price = dollars(max_hourly, above_zero=True)
    options = options_from(deploy_option or (), max_hourly=price, endpoint=deploy)
    fields = _job_fields(job)
    resources = {**fields.get("resources", {}), "gpu_count": gpus, **({"gpu": gpu} if gpu else {})}
    fields |= {"resources": resources, "price": {"max_hourly": price}}
    fields |= {"budget": dollars(budget)} if budget is not None else {}
    fields |= {"image": image} if image else {}

    def wished() -> TuneWish:
        from holdfast.client.fine_tuning import TuneWish  # noqa: PLC0415 (so that --help is answered at once)
        from holdfast.client.tuned_serving import Serving  # noqa: PLC0415 (as above)

        return TuneWish(
            name=name,
            base=base,
            dataset=dataset,
            template=template,
            changes=tuple(change or ()),
            model=model,
            token=token_secret,
            gpu_memory_gb=gpu_memory,
            python=python,
            setup=setup,
            job=fields,
            serve=Serving(deployment=deploy, options=options, recipe=deploy_recipe) if deploy else None,
        )

    async def work(holdfast: Holdfast) -> SubmittedTuning | FineTuneStatus:
        with console.working(f"checking {dataset}, asking the market, submitting {name}"):
            started = await holdfast.fine_tunings.submit(wished())
        if not as_json:
            console.say(f"{name} is submitted; `holdfast finetune show {name}` shows how it does")
            _tell_token(started)
        return await holdfast.fine_tunings.wait(name) if wait else started

    found = with_holdfast(data_dir, work)
    if wait:
        return _conclude(found, as_json)  # type: ignore[arg-type]
    if as_json:
        console.print_json(found)
    return 0


def _tell_token(started: SubmittedTuning) -> None:
    if started.token:
        console.say(f"callers of {started.deployment} will need this token, which is shown only now:")
        console.answer(started.token)


@app.command("ls")
def ls(as_json: Json = False, data_dir: DataDir = None) -> None:
    """List the fine-tunings that go on. What came of others `holdfast model ls` lists.

    \b
    Examples:
      holdfast finetune ls
      holdfast finetune ls --json | jq -r '.[].name'
    """
    found = with_holdfast(data_dir, lambda holdfast: holdfast.fine_tunings.all())
    if as_json:
        console.print_json(found)
    elif found:
        headers = ("NAME", "PHASE", "METHOD", "BASE", "DATA", "STARTED", "WHY")
        console.table(headers, [_line(each) for each in found], spare=("DATA", "WHY"))
    else:
        console.say("no fine-tuning goes on; `holdfast finetune submit --help` shows how one is started")


@app.command("show")
def show(name: TuningName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show a fine-tuning: how far it is, and when it is done its version and what base and tuned model answer.

    \b
    Examples:
      holdfast finetune show support
      holdfast finetune show support --json | jq .registered.lineage
    """
    status = with_holdfast(data_dir, lambda holdfast: holdfast.fine_tunings.status(name))
    if as_json:
        console.print_json(status)
    else:
        _show_status(status)


@app.command("wait")
def wait_for(name: TuningName, as_json: Json = False, data_dir: DataDir = None) -> int:
    """Wait until a fine-tuning has ended. The exit code says how, as that of `holdfast job wait` does.

    29: it is registered, and not fit to serve where it was to be deployed.

    \b
    Examples:
      holdfast finetune wait support && holdfast model show support
    """
    return _conclude(with_holdfast(data_dir, lambda holdfast: holdfast.fine_tunings.wait(name)), as_json)


@app.command("plot")
def plot(
    name: TuningName,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="As .png or .svg; NAME.png if left out.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--series", metavar="NAME", help="Only this one; repeatable.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Draw loss, learning rate and the like by step. With --json the numbers are printed, and nothing is drawn.

    \b
    Examples:
      holdfast finetune plot support --series loss
      holdfast finetune plot support --out support.svg
    """
    jobs.plot(name, out=out, only=only, as_json=as_json, data_dir=data_dir)


@app.command("cancel")
def cancel(
    name: TuningName,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Save what it has learned first.")] = True,
    stay: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until its machine is gone.")] = True,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """End a fine-tuning; its machine is let go, and nothing is registered.

    \b
    Examples:
      holdfast finetune cancel support
      holdfast finetune cancel support --no-save
    """

    async def order(holdfast: Holdfast) -> FineTuneStatus:
        begun = await holdfast.fine_tunings.cancel(name, save=save)
        return await holdfast.fine_tunings.wait(name) if stay else begun

    status = with_holdfast(data_dir, order)
    if as_json:
        console.print_json(status)
    else:
        console.say(f"{name} is {status.phase}: {status.reason}")


def _job_fields(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    import yaml  # noqa: PLC0415 (so that --help is answered at once)

    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise UsageProblem(f"{path} cannot be read: {err}", remedy="give fields of a job's spec: docs/jobs.md") from err
    if not isinstance(found, dict) or not isinstance(found.get("resources", {}), dict):
        raise UsageProblem(f"{path} holds no fields", remedy="give fields of a job's spec: docs/jobs.md")
    return found


def _conclude(status: FineTuneStatus, as_json: bool) -> int:
    """The exit code of how it ended: as the job's, where that did."""
    if as_json:
        console.print_json(status)
    else:
        _show_status(status)
    from holdfast.contracts.fine_tuning import TunePhase  # noqa: PLC0415 (so that --help is answered at once)

    if status.phase is TunePhase.SUCCEEDED:
        return 0
    if status.registered is not None:
        return _NOT_FIT
    cause = status.job.cause if status.job is not None else None
    return (JOB_ENDS[str(cause)] if cause is not None else 1) or 1


def _line(status: FineTuneStatus) -> tuple[str, ...]:
    return (
        status.name,
        status.phase.value,
        status.parameters.method.value,
        status.base,
        f"{status.data.name}, {status.data.examples} examples",
        words.age(status.started_at),
        status.reason,
    )


def _show_status(status: FineTuneStatus) -> None:
    facts = {
        "fine-tuning": f"{status.name}: {status.phase}, {status.reason}",
        "base": status.base,
        "data": f"{status.data.name}, {status.data.examples} examples, SHA-256 {status.data.sha256}",
        "method": f"{status.parameters.method}, seed {status.parameters.seed}",
    }
    if status.job is not None:
        facts["job"] = f"{status.job.name}: {status.job.phase}, {status.job.reason}"
        facts["spent"] = words.money(status.job.spent)
    if status.registered is not None:
        facts["registered"] = f"{status.registered.name} version {status.registered.version}"
        if (lineage := status.registered.lineage) is not None:
            facts["trained"] = f"{lineage.steps} steps, loss {lineage.loss:.4f}, {lineage.incidents} machines lost"
            facts["equal"] = "\n".join(lineage.differs) or "as if nothing had happened"
    if status.deployment:
        facts["deployment"] = f"{status.deployment}: {words_of_release(status.release)}"
    console.facts(facts)
    for each in status.answers:
        console.answer(f"\nasked: {each.prompt}\nbase:  {each.base}\ntuned: {each.tuned}")
    if status.release is not None:
        show_compared(status.release)


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
            "not trained on": ", ".join(
                f"{each.name} ({words.count(each.lines, 'line')})" for each in report.other_keys
            )
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
