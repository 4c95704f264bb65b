"""What gets installed is pinned, hashed, and says nothing of where it came from."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_no_lock_names_an_index_or_a_path(lock: Path) -> None:
    assert not re.search(r"://|^-|^/", lock.read_text(), re.MULTILINE)


@pytest.mark.parametrize("group", ["dependencies", "dev"])
def test_the_locks_hold_what_the_project_asks_for(group: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] if group == "dependencies" else project["optional-dependencies"]["dev"]
    lock = "runtime.txt" if group == "dependencies" else "dev.txt"
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / lock).read_text(), re.MULTILINE))
    for each in wanted:
        name = re.split(r"[\[<>=]", each)[0]
        assert name == "holdfast" or name.lower() in pinned, name


def test_the_trainer_s_environment_is_what_the_extra_asks_for() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["train"]
    lines = (ROOT / "requirements/train.in").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == extra


def test_the_build_needs_nothing_that_is_not_pinned() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for lock in ("dev.txt", "build.txt"):
        text = (ROOT / "requirements" / lock).read_text()
        assert all(re.search(rf"^{each.split('>')[0]}==", text, re.MULTILINE) for each in wanted)
