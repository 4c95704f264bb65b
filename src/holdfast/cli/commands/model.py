"""`holdfast model register|ls|show|rm`: models that are fetched, hashed and kept in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, progress, words
from holdfast.cli.session import DataDir, Json, with_holdfast
from holdfast.contracts.models import FetchProgress, ModelKind, ModelVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.client.holdfast import Holdfast
    from holdfast.client.models import ModelView

app = typer.Typer(
    help="Register models: fetched, hashed, kept in the store.", no_args_is_help=True, rich_markup_mode=None
)

ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")]
Version = Annotated[int | None, typer.Option("--version", "-v", min=1, help="Which one; the newest if left out.")]
_GB, _MIB = 1_000_000_000, 1024 * 1024
_HASH_SHOWN = 12  # characters


@app.command("register")
def register(
    *,
    name: ModelName,
    source: Annotated[
        str, typer.Option("--from", metavar="SOURCE", help="hf:org/name[@revision], s3://bucket/prefix or a folder.")
    ],
    kind: Annotated[
        ModelKind | None, typer.Option("--kind", help="What it is for; left out: as its files say.")
    ] = None,
    licence: Annotated[str, typer.Option("--licence", help="Its licence; left out: as its source says.")] = "",
    memory_gb: Annotated[
        float | None, typer.Option("--memory-gb", min=0.1, max=100_000, help="GPU memory that it needs in all.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="PATTERN", help="Only such files; may be given several times.")
    ] = None,
    token_secret: Annotated[
        str, typer.Option("--token-secret", metavar="NAME", help="Secret of the host workers with the hub's token.")
    ] = "",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Fetch a model into the store, hash every file, and give it a version. The same content is the same version.

    The host workers fetch from a hub or a bucket, and go on after any crash; Ctrl-C ends the watching alone. The bytes
    of a folder go straight from this computer to the store.

    \b
    Examples:
      holdfast model register qwen --from hf:Qwen/Qwen3-8B@main
      holdfast model register mine --from s3://models/mine/v3 --kind llm --licence proprietary
      holdfast model register tuned --from ./output --kind llm --memory-gb 20
      holdfast model register small --from hf:org/name-GGUF --only '*Q4_K_M.gguf' --only README.md --kind llm
    """
    stated = None if memory_gb is None else round(memory_gb * _GB)

    async def work(holdfast: Holdfast) -> ModelVersion:
        with progress.bar() as show:
            return await holdfast.register_model(
                name,
                source,
                kind=kind,
                licence=licence,
                memory_bytes=stated,
                only=only or (),
                token_secret=token_secret,
                told=lambda beat: show(_doing(beat), beat.bytes_done // _MIB, beat.bytes_total // _MIB),
            )

    found = with_holdfast(data_dir, work)
    if as_json:
        console.print_json(found)
        return
    console.say(
        f"{found.name} version {found.version}: {found.kind}, {words.count(found.files, 'file')}, "
        f"{words.size(found.bytes_total)}, licence {found.licence or 'not known'}"
    )
    if found.needs.unknown and found.needs.stated_bytes is None:
        console.say(f"what GPU memory it needs is not known: {found.needs.unknown}; state it with --memory-gb")


@app.command("ls")
def ls(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only this model.", show_default=False)] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also those that were removed.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List what is registered, by name and version.

    \b
    Examples:
      holdfast model ls
      holdfast model ls qwen --all --json
    """
    found = with_holdfast(data_dir, lambda holdfast: holdfast.models(name, removed=everything))
    if as_json:
        console.print_json(found)
    elif found:
        headers = ("MODEL", "VERSION", "KIND", "PARAMETERS", "SIZE", "LICENCE", "FROM", "REGISTERED")
        console.table(headers, [_row(each) for each in found], spare=("FROM", "LICENCE", "PARAMETERS"))
    else:
        console.say("no model is registered; `holdfast model register NAME --from SOURCE` registers one")


@app.command("show")
def show(
    *,
    name: ModelName,
    version: Version = None,
    context: Annotated[
        int | None, typer.Option("--context", min=1, help="Tokens of a sequence; left out: all.")
    ] = None,
    sequences: Annotated[int, typer.Option("--sequences", min=1, help="Sequences that are served at a time.")] = 1,
    gpus: Annotated[int, typer.Option("--gpus", min=1, max=16, help="GPUs that it is divided among.")] = 1,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show one version: where it came from, its files, and the GPU memory that it takes to serve it.

    \b
    Examples:
      holdfast model show qwen
      holdfast model show qwen --context 32768 --sequences 16 --gpus 2
      holdfast model show qwen --version 1 --json | jq .memory.per_gpu
    """
    view = with_holdfast(
        data_dir,
        lambda holdfast: holdfast.model(name, version=version, context=context, sequences=sequences, gpus=gpus),
    )
    if as_json:
        console.print_json(view)
        return
    console.facts(_facts(view))
    rows = [(each.path, words.size(each.size), each.sha256[:_HASH_SHOWN]) for each in view.model.contents]
    console.table(("FILE", "SIZE", "SHA-256"), rows)


@app.command("rm")
def rm(
    name: ModelName,
    version: Version = None,
    force: Annotated[bool, typer.Option("--force", help="Also what a deployment serves, or keeps.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Remove a model, or one version of it; its bytes leave the store with the garbage.

    What a deployment serves, or keeps for a rollback, is not removed without --force: a release that must start
    anew after that finds no files.

    \b
    Examples:
      holdfast model rm qwen --version 1
      holdfast model rm qwen
      holdfast model rm qwen --version 2 --force
    """
    gone = with_holdfast(data_dir, lambda holdfast: holdfast.remove_model(name, version=version, force=force))
    if as_json:
        console.print_json(gone)
        return
    console.say(f"{name}: {words.count(len(gone), 'version')} removed; the space is free after a day or two")


def _doing(beat: FetchProgress) -> str:
    return f"MiB, {beat.files_done}/{beat.files} files: {beat.doing}" if beat.files else beat.doing


def _row(each: ModelVersion) -> Sequence[str]:
    return (
        each.name,
        f"{each.version}" + (" (removed)" if each.retired_at else ""),
        each.kind.value,
        f"{each.needs.parameters / 1e9:.2f} B" if each.needs.parameters else "—",
        words.size(each.bytes_total),
        each.licence or "—",
        each.source + (f"@{each.revision[:_HASH_SHOWN]}" if each.revision else ""),
        words.age(each.registered_at),
    )


def _facts(view: ModelView) -> dict[str, str]:
    model, needs = view.model, view.model.needs
    facts = {
        "model": f"{model.name} version {model.version}" + (" (removed)" if model.retired_at else ""),
        "kind": f"{model.kind}, served by {view.recipe}",
        "from": model.source + (f" at {model.revision}" if model.revision else ""),
        "licence": (model.licence or "not known") + (", gated" if model.gated else ""),
        "content": f"{words.count(model.files, 'file')}, {words.size(model.bytes_total)}, SHA-256 {model.digest}",
        "parameters": f"{needs.parameters:,}" if needs.parameters else "not known",
    }
    if needs.weights_bytes is not None:
        facts["weights"] = f"{words.size(needs.weights_bytes)} {needs.dtype}, by {needs.weights_from}"
    if needs.cache:
        facts["cache"] = f"{words.size(needs.cache_bytes_per_token)} a token, context {needs.context or 'not known'}"
    if view.memory is None:
        facts["GPU memory"] = f"not known: {view.unknown}; state it with `model register … --memory-gb`"
        return facts
    need = view.memory
    per_gpu = f", {words.size(need.per_gpu)} on each of {need.gpus} GPUs" if need.gpus > 1 else ""
    facts["GPU memory"] = f"{words.size(need.total)}{per_gpu}\n{need.assumed}"
    return facts
