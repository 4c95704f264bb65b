"""What a folder says of the model in it."""

import json
from pathlib import Path

import pytest

from holdfast.contracts.models import ModelFile, ModelKind
from holdfast.models import inspecting
from holdfast.models.errors import SourceRefused
from holdfast.models.storing import laid_out
from holdfast.policy.model_shapes import parameters
from tests import tiny_model


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_model.written(tmp_path / "tiny", tiny_model.files())


def needs(folder: Path, kind: ModelKind = ModelKind.LLM):
    return inspecting.needs_in(folder, inspecting.listed(folder), kind)


def test_headers_are_counted_and_agree_with_the_shapes(tiny: Path) -> None:
    (tiny / "pytorch_model.bin").unlink()
    told = needs(tiny)
    assert told.parameters == parameters(tiny_model.CONFIG) == tiny_model.PARAMETERS
    assert (told.weights_bytes, told.weights_from) == (2 * tiny_model.PARAMETERS, "safetensors headers")
    assert (told.dtype, told.context, told.architecture) == ("bfloat16", 64, "LlamaForCausalLM")
    assert told.cache_bytes_per_token == 2 * 2 * 1 * 4 * 2


def test_packed_weights_are_weighed_and_counted_by_the_shapes(tiny: Path) -> None:
    (tiny / "pytorch_model.bin").unlink()
    packed = {"model.layers.0.mlp.up_proj.qweight": (16, 1)}
    (tiny / "model.safetensors").write_bytes(tiny_model.safetensors(packed, dtype="I32", width=4))
    told = needs(tiny)
    assert (told.weights_bytes, told.parameters) == (64, tiny_model.PARAMETERS)


def test_other_formats_are_weighed_by_their_files(tmp_path: Path) -> None:
    folder = tiny_model.written(tmp_path / "ct2", {"model.bin": bytes(5_000), "vocabulary.json": b"[]"})
    told = needs(folder, ModelKind.EMBEDDING)
    assert (told.weights_bytes, told.weights_from, told.parameters) == (5_000, "sizes of its files", None)


@pytest.mark.parametrize("data", [b"", b"short", b"\xff" * 16, b"\x02\0\0\0\0\0\0\0[]", b"\x04\0\0\0\0\0\0\0{bad"])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(SourceRefused, match="is no safetensors file"):
        inspecting.head_of(tmp_path / "model.safetensors")


def test_equal_content_has_one_digest_wherever_it_lies(tiny: Path, tmp_path: Path) -> None:
    other = tiny_model.written(tmp_path / "other", tiny_model.files())
    digests = {inspecting.digest_of(inspecting.files_of(folder)) for folder in (tiny, other)}
    assert len(digests) == 1
    (other / "tokenizer/vocab.txt").write_bytes(b"a\nc\n")
    assert inspecting.digest_of(inspecting.files_of(other)) not in digests


def test_a_digest_does_not_depend_on_order() -> None:
    one, two = ModelFile(path="a", size=1, sha256="x"), ModelFile(path="b", size=2, sha256="y")
    assert inspecting.digest_of([one, two]) == inspecting.digest_of([two, one])


def test_the_licence_is_what_the_readme_s_head_says(tiny: Path) -> None:
    assert inspecting.licence_in(tiny) == "apache-2.0"
    (tiny / "README.md").write_text("---\nlicense: [\n---\n")
    assert inspecting.licence_in(tiny) == ""
    (tiny / "README.md").unlink()
    assert inspecting.licence_in(tiny) == ""


def test_a_kind_is_stated_or_said_by_the_files_or_asked_for(tmp_path: Path, tiny: Path) -> None:
    assert inspecting.kind_in(tiny, inspecting.listed(tiny), None) is ModelKind.LLM
    assert inspecting.kind_in(tiny, inspecting.listed(tiny), ModelKind.OTHER) is ModelKind.OTHER
    odd = tiny_model.written(tmp_path / "odd", {"weights.dat": b"x"})
    with pytest.raises(SourceRefused, match="state it with --kind"):
        inspecting.kind_in(odd, inspecting.listed(odd), None)


def test_a_config_that_is_no_json_is_refused(tiny: Path) -> None:
    (tiny / "config.json").write_text("{")
    with pytest.raises(SourceRefused, match=r"config\.json is no JSON"):
        inspecting.config_of(tiny)


def test_what_is_no_folder_of_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match=r"there is no .*none"):
        inspecting.listed(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(SourceRefused, match="file is no folder"):
        inspecting.listed(tmp_path / "file")
    (tmp_path / "file").unlink()
    with pytest.raises(SourceRefused, match="no file in"):
        inspecting.listed(tmp_path)


def test_a_folder_of_links_is_laid_out_as_files_and_left_as_it_was(tmp_path: Path) -> None:
    """As the hub's own cache keeps them: a snapshot is links into a folder of blobs."""
    blobs = tiny_model.written(tmp_path / "blobs", {"1": b"weights", "2": json.dumps(tiny_model.CONFIG).encode()})
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "model.safetensors").symlink_to(blobs / "1")
    (snapshot / "config.json").symlink_to(blobs / "2")
    (snapshot / "pytorch_model.bin").write_bytes(b"the same weights")
    with laid_out(snapshot, tmp_path / "scratch") as place:
        assert sorted(each.name for each in place.iterdir()) == ["config.json", "model.safetensors"]
        assert not any(each.is_symlink() for each in place.iterdir())
        assert (place / "model.safetensors").read_bytes() == b"weights"
    assert not place.exists()
    assert (snapshot / "model.safetensors").read_bytes() == b"weights"
