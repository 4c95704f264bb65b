"""One table from error to exit code; every row is real, documented and printed with a remedy."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from holdfast.cli import errors
from holdfast.client.errors import HoldfastError, SpecInvalid
from holdfast.contracts.errors import ErrorType

from .conftest import Run
from .standins import World, an_offer

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def resolve(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("row", errors.TABLE, ids=lambda row: row.error)
def test_every_row_names_an_error_class_that_exists_and_is_documented(row: errors.Row) -> None:
    assert issubclass(resolve(row.error), Exception)
    assert f"| {row.code} | " in DOCS.read_text()


def subclasses(of: type[HoldfastError]) -> list[type[HoldfastError]]:
    return [kind for child in of.__subclasses__() for kind in (child, *subclasses(child))]


@pytest.mark.parametrize("kind", subclasses(HoldfastError), ids=lambda kind: kind.__name__)
def test_every_client_error_has_a_row_and_a_remedy(kind: type[HoldfastError]) -> None:
    err = kind("spec.yaml", ()) if kind is SpecInvalid else kind("it happened")
    assert errors.row_for(err) is not None
    assert err.remedy


async def test_a_bad_spec_is_refused_with_every_mistake_before_anything_is_asked(cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: A\ncommand: x\nprice:\n  max_hourly: none\n")
    refused = await cli("run", str(path), "--json")
    assert (refused.code, refused.out) == (3, "")
    assert f"{path}:1:1: name: " in refused.err
    assert f"{path}:4:3: price.max_hourly: " in refused.err
    assert "hint: correct the spec" in refused.err


async def test_a_spec_that_is_not_there_is_a_usage_error(cli: Run, tmp_path: Path) -> None:
    assert (await cli("run", str(tmp_path / "none.yaml"))).code == errors.USAGE


async def test_a_workdir_that_is_not_there_is_a_usage_error(cli: Run, spec: Path) -> None:
    with spec.open("a") as more:
        more.write("workdir: nowhere\n")
    refused = await cli("run", str(spec))
    assert refused.code == errors.USAGE
    assert "is not a folder" in refused.err


@pytest.mark.parametrize("command", [["ps"], ["status", "x"], ["report", "x"], ["offers"]])
async def test_no_server_is_its_own_exit_code(cli: Run, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    refused = await cli(*command)
    assert (refused.code, refused.out) == (8, "")
    assert "no Temporal server answers at 127.0.0.1:1: Connection refused" in refused.err
    assert "hint: run `holdfast up`" in refused.err


async def test_no_offers_under_the_limit_shows_the_nearest_and_the_remedy(
    online: Run, world: World, spec: Path, name: str
) -> None:
    world.offers = [an_offer("0.62"), an_offer("0.71", 2)]
    refused = await online("run", str(spec))
    assert refused.code == 5
    assert "1x RTX 4090 in DE at 0.620 USD/h (vast)" in refused.err
    assert "raise price.max_hourly to 0.620 or more" in refused.err
    assert (await online("status", name)).code == 4  # nothing was started


async def test_a_market_without_such_machines_says_so(online: Run, world: World, spec: Path) -> None:
    world.offers = []
    refused = await online("run", str(spec))
    assert refused.code == 5
    assert "at any price" in refused.err


@pytest.mark.parametrize(
    ("kind", "code"),
    [(ErrorType.CREDENTIALS_REFUSED, 6), (ErrorType.OUT_OF_CREDIT, 6), (ErrorType.REQUEST_REJECTED, 1)],
)
async def test_a_provider_s_refusal_keeps_its_meaning(
    online: Run, world: World, spec: Path, kind: ErrorType, code: int
) -> None:
    world.failure = ApplicationError("no entry", type=kind, non_retryable=True)
    refused = await online("run", str(spec))
    assert refused.code == code
    assert "no entry" in refused.err


async def test_a_provider_that_is_down_is_told_after_a_few_tries(online: Run, world: World) -> None:
    world.failure = ApplicationError("HTTP 502", type=ErrorType.PROVIDER_UNAVAILABLE)
    refused = await online("offers")
    assert refused.code == 13
    assert "HTTP 502" in refused.err


async def test_a_market_that_is_not_there_is_its_own_exit_code(cli: Run) -> None:
    refused = await cli("sim", "instances")
    assert refused.code == 19
    assert "hint: `holdfast up` runs a simulated market" in refused.err


async def test_an_unforeseen_error_is_short_and_keeps_its_traceback(
    cli: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data" / "logs").mkdir(parents=True)
    monkeypatch.setattr("holdfast.embedded.names_a_server", lambda environ: 1 / 0)
    failed = await cli("ps")
    assert failed.code == errors.INTERNAL
    assert failed.err.count("\n") == 2
    (log,) = (tmp_path / "data" / "logs").iterdir()
    assert "ZeroDivisionError" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert "Traceback" in (await cli("ps", "--debug")).err


async def test_an_unknown_command_and_a_wrong_option_are_usage_errors(cli: Run) -> None:
    for argv in (["nope"], ["ps", "--nope"], ["offers", "--max-price", "free"], ["up", "--port", "best"], ["status"]):
        assert (await cli(*argv)).code == errors.USAGE, argv


async def test_a_setting_that_cannot_be_read_is_a_configuration_error(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_STORE__KIND", "tape")
    refused = await cli("status", "x")
    assert refused.code == 78
    assert "HOLDFAST_STORE__KIND" in refused.err
