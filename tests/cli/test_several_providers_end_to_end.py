"""Several providers against the real stack: one without a usable key is named, the others serve.

One of them comes from a package of its own, the example in examples/driver.
"""

from collections.abc import Iterator

import pytest

from tests.example_driver import KEY, install, paths, pebble
from tests.simmarket import RunningMarket, run_market

from .embedded import Stack, until

ASKED = ["offers", "--on-demand", "--max-price", "2"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMarket]:
    with run_market(tmp_path_factory.mktemp("market")) as running:
        yield running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, simulated: RunningMarket) -> Iterator[Stack]:
    """Vast.ai without a key, and pebble with one."""
    installed = install(tmp_path_factory.mktemp("installed"))
    with pebble(installed) as address:
        accounts = {
            "HOLDFAST_PROVIDERS__VAST__BASE_URL": simulated.base_url,
            "HOLDFAST_PROVIDERS__PEBBLE__BASE_URL": address,
            "HOLDFAST_PROVIDERS__PEBBLE__API_KEY": KEY,
        }
        running = Stack(tmp_path_factory.mktemp("several") / "data", accounts | paths(installed))
        try:
            started = running("up", "--detach", "--port", "auto")
            assert started.code == 0, started.err
            yield running
        finally:
            running("down")


def test_the_others_offers_are_shown_and_the_one_without_a_key_is_named(stack: Stack) -> None:
    found = stack(*ASKED, "--json")
    assert found.code == 0, found.err
    assert {offer["provider"] for offer in found.document} == {"pebble"}
    assert "warning: vast gave no answer: no API key for Vast.ai is set" in found.err
    assert "hint: check the settings HOLDFAST_PROVIDERS__VAST__*" in found.err
    table = stack(*ASKED)
    assert (table.code, "pebble" in table.out, "warning" in table.out) == (0, True, False)


def test_asked_alone_the_one_without_a_key_is_an_error(stack: Stack) -> None:
    refused = stack(*ASKED, "--provider", "vast")
    assert (refused.code, refused.out) == (6, "")
    assert "no API key for Vast.ai is set" in refused.err


def test_a_misspelt_provider_is_answered_with_those_there_are(stack: Stack) -> None:
    refused = stack(*ASKED, "--provider", "pebbel")
    assert (refused.code, refused.out) == (18, "")
    assert "here: pebble, vast" in refused.err


def test_no_offer_under_the_limit_names_who_was_not_heard(stack: Stack, simulated: RunningMarket) -> None:
    refused = stack("run", stack.spec("dear", limit="0.01"), "--json")
    assert (refused.code, refused.out) == (5, "")
    assert "vast gave no answer: no API key for Vast.ai is set" in refused.err
    assert stack("status", "dear").code == 4
    with simulated.control as control:
        assert control.bill()["lines"] == []


def test_an_unknown_gpu_is_answered_with_those_of_the_providers_that_answered(stack: Stack) -> None:
    refused = stack("run", stack.spec("odd-gpu", more="resources: {gpu: RTX 9090}\n"))
    assert refused.code == 5
    assert "RTX 9090" in refused.err
    assert "vast gave no answer" in refused.err


def test_the_doctor_tells_each_provider_apart(stack: Stack) -> None:
    told = stack("doctor", "--json")
    assert told.code == 1
    checks = {each["what"]: each for each in told.document}
    assert checks["provider pebble"]["verdict"] == "ok"
    assert checks["provider vast"]["verdict"] == "FAIL"
    assert "no API key for Vast.ai is set" in checks["provider vast"]["detail"]


def test_a_workload_starts_with_those_that_answer_and_says_who_did_not(stack: Stack) -> None:
    started = stack("run", stack.spec("elsewhere"), "--json")
    assert started.code == 0, started.err
    assert started.document["cheapest"]["provider"] == "pebble"
    assert list(started.document["unanswered"]) == ["vast"]
    until(lambda: stack("why", "elsewhere", "--json").document != [])
    (first, *_) = stack("why", "elsewhere", "--json").document
    assert {ranked["provider"] for ranked in first["chosen"] + first["rejected"]} == {"pebble"}
    assert stack("stop", "elsewhere", "--no-save").code == 0
