"""Registered models: rising versions, the same content once, and manifests that garbage collection must spare."""

from dataclasses import replace
from threading import Thread
from typing import Any

import pytest

from holdfast.contracts.activities import CommitCheckpointInput
from holdfast.contracts.models import (
    AddModelInput,
    CacheLayers,
    FindModelInput,
    ListModelsInput,
    ModelFile,
    ModelKey,
    ModelKind,
    ModelNeeds,
    StoredModel,
)
from holdfast.policy.serving import first_checkpoint
from holdfast.records import checkpoints
from holdfast.records.errors import Fenced, UnknownModel
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, checkpoint, claim, opening

NEEDS = ModelNeeds(
    parameters=8, weights_bytes=16, cache=(CacheLayers(layers=2, values_per_token=4, window=9),), context=64
)


def adding(content: str = "one", name: str = "tiny", **changes: Any) -> AddModelInput:
    stored = StoredModel(
        digest=content,
        files=(ModelFile(path="config.json", size=2, sha256="aa"), ModelFile(path="w", size=5, sha256="bb")),
        manifest=f"manifests/model--{name}/{content}",
        kind=ModelKind.LLM,
        needs=NEEDS,
        licence="mit",
    )
    order = AddModelInput(name=name, source="hf:org/tiny", revision=f"of-{content}", stored=stored)
    return replace(order, **changes)


def live(records: Records) -> list[str]:
    return list(records.live_after(None).manifests)


def test_versions_rise_and_say_all_that_is_known(records: Records) -> None:
    first, second = records.add_model(adding("one")), records.add_model(adding("two"))
    assert [first.version, second.version] == [1, 2]
    assert (first.kind, first.licence, first.files, first.bytes_total) == (ModelKind.LLM, "mit", 2, 7)
    assert first.needs == NEEDS
    assert first.registered_at == NOON
    assert records.list_models(ListModelsInput()) == [first, second]


def test_the_same_content_again_is_the_same_version(records: Records) -> None:
    first = records.add_model(adding("one"))
    again = adding("one", source="folder ./tiny")
    assert records.add_model(replace(again, stored=replace(again.stored, manifest="manifests/other"))) == first
    assert len(records.list_models(ListModelsInput())) == 1


def test_the_same_content_under_another_name_is_another_model(records: Records) -> None:
    assert records.add_model(adding("one")).name == "tiny"
    assert records.add_model(adding("one", name="other")).version == 1
    assert [each.name for each in records.list_models(ListModelsInput())] == ["other", "tiny"]
    assert [each.name for each in records.list_models(ListModelsInput(name="tiny"))] == ["tiny"]


def test_what_a_person_states_replaces_what_is_on_record(records: Records) -> None:
    records.add_model(adding("one"))
    stated = adding("one", licence="apache-2.0", kind_stated=True)
    needs = replace(NEEDS, stated_bytes=99)
    told = records.add_model(replace(stated, stored=replace(stated.stored, kind=ModelKind.EMBEDDING, needs=needs)))
    assert (told.version, told.licence, told.kind) == (1, "apache-2.0", ModelKind.EMBEDDING)
    assert told.needs == needs
    unstated = records.add_model(adding("one"))
    assert (unstated.licence, unstated.kind, unstated.needs.stated_bytes) == ("apache-2.0", ModelKind.EMBEDDING, 99)


def test_one_version_is_told_with_its_files(records: Records) -> None:
    records.add_model(adding("one"))
    records.add_model(adding("two"))
    newest = records.read_model(ModelKey(name="tiny"))
    assert newest is not None and newest.version == 2
    assert newest.contents == adding().stored.files
    first = records.read_model(ModelKey(name="tiny", version=1))
    assert first is not None and first.digest == "one"
    assert records.read_model(ModelKey(name="tiny", version=9)) is None
    assert records.read_model(ModelKey(name="nobody")) is None


def test_a_revision_is_found_again_until_it_is_removed(records: Records) -> None:
    first = records.add_model(adding("one"))
    asked = FindModelInput(name="tiny", source="hf:org/tiny", revision="of-one")
    assert records.find_model(asked) == first
    assert records.find_model(replace(asked, revision="of-two")) is None
    assert records.find_model(replace(asked, name="other")) is None
    records.retire_model(ModelKey(name="tiny"))
    assert records.find_model(asked) is None


def test_a_number_is_never_given_twice(records: Records) -> None:
    records.add_model(adding("one"))
    assert [each.version for each in records.retire_model(ModelKey(name="tiny"))] == [1]
    back = records.add_model(adding("one"))
    assert (back.version, back.retired_at) == (2, None)
    both = records.list_models(ListModelsInput(retired=True))
    assert [(each.version, each.retired_at is None) for each in both] == [(1, False), (2, True)]


def test_one_version_may_go_alone(records: Records) -> None:
    for content in ("one", "two"):
        records.add_model(adding(content))
    records.retire_model(ModelKey(name="tiny", version=2))
    left = records.read_model(ModelKey(name="tiny"))
    assert left is not None and left.version == 1
    for gone in (ModelKey(name="tiny", version=2), ModelKey(name="tiny", version=7), ModelKey(name="nobody")):
        with pytest.raises(UnknownModel, match="there is no model"):
            records.retire_model(gone)


def test_garbage_collection_hears_of_what_is_registered_until_it_is_removed(records: Records) -> None:
    records.add_model(adding("one"))
    records.add_model(adding("two"))
    assert live(records) == ["manifests/model--tiny/one", "manifests/model--tiny/two"]
    assert records.live_model_manifests() == live(records)
    records.retire_model(ModelKey(name="tiny", version=1))
    assert live(records) == ["manifests/model--tiny/two"]


def test_models_and_checkpoints_stand_in_one_order_of_pages(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "LIVE_TOLD", 2)
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    for sequence in range(3):
        saved = checkpoint(sequence, 1)
        records.commit_checkpoint(
            CommitCheckpointInput(checkpoint=saved, expected_sequence=sequence - 1 if sequence else None)
        )
    for name in ("a", "zz"):
        for content in ("one", "two"):
            records.add_model(adding(content, name=name))
    told, page = [], records.live_after(None)
    while True:
        told += page.manifests
        if page.last is None:
            break
        page = records.live_after(page.last)
    assert len(told) == len(set(told)) == 7


def test_two_who_register_at_once_get_two_numbers_or_one_for_the_same_content(records: Records) -> None:
    got: list[int] = []
    threads = [
        Thread(target=lambda content=content: got.append(records.add_model(adding(content)).version))
        for content in ("one", "two", "one", "two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [1, 1, 2, 2]


def test_a_replica_keeps_the_files_that_it_began_with_also_when_the_model_is_removed(records: Records) -> None:
    told = records.add_model(adding("one"))
    records.open_workload(opening(workdir=first_checkpoint(told, "train")))
    records.retire_model(ModelKey(name="tiny"))
    assert live(records) == [told.manifest]
    head = records.list_checkpoints("train")[-1]
    assert (head.sequence, head.manifest, head.bytes_total) == (0, told.manifest, 7)


def test_no_workload_may_have_the_name_of_a_model_s_record(records: Records) -> None:
    with pytest.raises(Fenced, match="registered model"):
        records.open_workload(opening(name="model--tiny"))
