"""The agent as one file for any Python 3.8+."""

import ast
import io
import sys
import zipfile
from pathlib import Path

import pytest

import holdfast.hosts.agent
from holdfast.hosts.agent_bundle import agent_bundle

MODULES = sorted(Path(holdfast.hosts.agent.__path__[0]).glob("*.py"))


def test_the_same_sources_give_the_same_bytes() -> None:
    first = agent_bundle()
    agent_bundle.cache_clear()
    assert agent_bundle() == first and first.digest[:16] in first.name


def test_the_bundle_holds_every_module_and_an_entry() -> None:
    names = zipfile.ZipFile(io.BytesIO(agent_bundle().data)).namelist()
    expected = {f"holdfast_agent/{path.name}" for path in MODULES if path.name != "bootstrap.py"}
    assert set(names) == expected | {"__main__.py"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_is_python_3_8_and_needs_the_standard_library_only(module: Path) -> None:
    tree = ast.parse(module.read_text(), feature_version=(3, 8))
    for node in ast.walk(tree):
        imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.append(node.module or "")
        assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
