"""The client of the hub, against a hub that speaks its wire API over real HTTP."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from holdfast.contracts.models import ModelFile, ModelPlan
from holdfast.models.errors import SourceRefused, SourceUnavailable
from holdfast.models.hub import HubSource
from holdfast.models.sources import HubName, parse
from tests import tiny_model
from tests.hub import STRANGER, TOKEN, Hub, Shelf


@asynccontextmanager
async def source(hub: Hub, name: str = "hf:org/tiny", *, token: str | None = None) -> AsyncIterator[HubSource]:
    parsed = parse(name)
    assert isinstance(parsed, HubName)
    opened = HubSource(parsed, url=hub.address, token=token)
    try:
        yield opened
    finally:
        await opened.close()


async def planned(hub: Hub, name: str = "hf:org/tiny", *, token: str | None = None) -> ModelPlan:
    async with source(hub, name, token=token) as opened:
        return await opened.plan()


async def fetched(hub: Hub, path: str, start: int = 0, *, token: str | None = None) -> bytes:
    async with source(hub, token=token) as opened:
        plan = await opened.plan()
        file = next(each for each in plan.files if each.path == path)
        return b"".join([piece async for piece in opened.read(plan, file, start)])


async def test_a_branch_becomes_the_commit_that_it_is_at(tiny_hub: Hub) -> None:
    plan = await planned(tiny_hub)
    assert (plan.source, plan.revision) == ("hf:org/tiny", "a" * 40)
    assert (plan.licence, plan.gated) == ("apache-2.0", False)
    assert plan == await planned(tiny_hub, f"hf:org/tiny@{'a' * 40}")


async def test_sizes_are_told_of_all_files_and_hashes_of_the_large(tiny_hub: Hub) -> None:
    told = {each.path: each for each in (await planned(tiny_hub)).files}
    contents = tiny_model.files()
    assert {path: each.size for path, each in told.items()} == {path: len(data) for path, data in contents.items()}
    assert told["model.safetensors"].sha256 == hashlib.sha256(contents["model.safetensors"]).hexdigest()
    assert told["config.json"].sha256 == ""


async def test_files_come_whole_by_redirect_and_from_an_offset_on(tiny_hub: Hub) -> None:
    weights = tiny_model.files()["model.safetensors"]
    assert await fetched(tiny_hub, "model.safetensors") == weights
    assert await fetched(tiny_hub, "model.safetensors", 1_000) == weights[1_000:]
    assert tiny_hub.sent["model.safetensors"] == 2 * len(weights) - 1_000


async def test_a_server_without_ranges_costs_the_bytes_again_and_nothing_else(tiny_hub: Hub) -> None:
    tiny_hub.knows_ranges = False
    assert await fetched(tiny_hub, "model.safetensors", 1_000) == tiny_model.files()["model.safetensors"][1_000:]


async def test_the_token_is_shown_to_the_hub_and_not_to_where_it_redirects(tiny_hub: Hub) -> None:
    await fetched(tiny_hub, "model.safetensors", token=TOKEN)
    assert tiny_hub.tokens == {"hub": {TOKEN}, "store": {""}}


async def test_a_gated_model_says_so_and_its_files_need_the_token(tiny_hub: Hub) -> None:
    plan = await planned(tiny_hub)
    tiny_hub.models["org/tiny"].gated = True
    async with source(tiny_hub) as opened:
        with pytest.raises(SourceRefused, match=r"org/tiny/config\.json is gated"):
            assert [piece async for piece in opened.read(plan, ModelFile(path="config.json", size=1), 0)]
    assert (await planned(tiny_hub, token=TOKEN)).gated
    assert await fetched(tiny_hub, "config.json", token=TOKEN) == tiny_model.files()["config.json"]


@pytest.mark.parametrize(
    ("token", "why", "remedy"),
    [
        (None, "no token was shown", "secret hf_token"),
        ("hf_mistyped", "does not know the token", "make a new one"),
        (STRANGER, "has not agreed to its terms", "/org/tiny with that account"),
    ],
)
async def test_at_a_gate_it_is_told_what_is_missing_before_a_file_is_asked_for(
    tiny_hub: Hub, token: str | None, why: str, remedy: str
) -> None:
    tiny_hub.models["org/tiny"].gated = True
    with pytest.raises(SourceRefused, match=f"org/tiny is gated, and .*{why}") as refused:
        await planned(tiny_hub, token=token)
    assert remedy in refused.value.remedy and not tiny_hub.sent
    assert token is None or token not in str(refused.value) + refused.value.remedy


@pytest.mark.parametrize("token", ["with a\nline", "dürer"])
async def test_a_token_that_cannot_travel_is_refused_and_not_told(tiny_hub: Hub, token: str) -> None:
    with pytest.raises(SourceRefused, match="has characters that no key has") as refused:
        await planned(tiny_hub, token=token)
    assert token not in str(refused.value)


async def test_what_is_not_there_is_refused_with_what_to_check(tiny_hub: Hub) -> None:
    with pytest.raises(SourceRefused, match="org/none: it does not exist, or needs a token"):
        await planned(tiny_hub, "hf:org/none")
    with pytest.raises(SourceRefused, match="refuses the token") as refused:
        await planned(tiny_hub, "hf:org/none", token=TOKEN)
    assert TOKEN not in str(refused.value)
    with pytest.raises(SourceRefused, match="revision v9"):
        await planned(tiny_hub, "hf:org/tiny@v9")


async def test_a_hub_that_is_busy_or_away_may_be_asked_again(tiny_hub: Hub) -> None:
    tiny_hub.busy = 1
    with pytest.raises(SourceUnavailable, match="answers 503"):
        await planned(tiny_hub)
    assert (await planned(tiny_hub)).files
    away = Hub(address="http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:9 does not answer"):
        await planned(away)


async def test_a_transfer_that_breaks_off_is_told(tiny_hub: Hub) -> None:
    tiny_hub.breaks_off["model.safetensors"] = 500
    with pytest.raises(SourceUnavailable):
        await fetched(tiny_hub, "model.safetensors")


async def test_an_answer_without_sense_is_no_plan(tiny_hub: Hub) -> None:
    tiny_hub.models["org/odd"] = Shelf(files={}, commit="")
    assert (await planned(tiny_hub, "hf:org/odd")).files == ()


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:a/b/c", "hf:../up", "hf:org/na me", "hf:org/x@", "s3://", "s3://bucket", "s3://B_/x", "ftp://x/y"],
)
def test_what_names_no_source_is_refused(text: str) -> None:
    if text == "hf:org/x@":
        assert parse(text) == HubName(model="org/x")  # an empty revision is none
        return
    with pytest.raises(SourceRefused, match="names no model"):
        parse(text)
