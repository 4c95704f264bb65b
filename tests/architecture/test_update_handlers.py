"""No handler of an update emits a command: it leaves an errand, or says what is wanted, and waits (workflows/errands).

Handlers are followed through the code as far as names tell where a call goes: to methods of their own class, to
functions and classes of our other workflow modules, and through attributes that `__init__` fills.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from temporalio import workflow

from holdfast.workers.durable import WORKFLOWS

SOURCES = Path(__file__).resolve().parents[2] / "src" / "holdfast" / "workflows"
PACKAGE = "holdfast.workflows"
COMMANDS = (
    "execute_activity",
    "start_activity",
    "execute_local_activity",
    "start_local_activity",
    "execute_child_workflow",
    "start_child_workflow",
    "get_external_workflow_handle",
    "sleep",
    "continue_as_new",
    "patched",
    "deprecate_patch",
    "upsert_memo",
    "upsert_search_attributes",
    "create_nexus_client",
)
NOT_TWICE_THE_SAME = ("uuid4", "random", "new_random")
"""No commands; but what is drawn next depends on who drew before."""


@dataclass(frozen=True)
class Place:
    """A function, and where its names are to be looked up."""

    module: str
    owner: str  # the class; "" for none
    name: str

    def __str__(self) -> str:
        return ".".join(part for part in (self.module.removeprefix(f"{PACKAGE}."), self.owner, self.name) if part)


Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    functions: dict[tuple[str, str], Function] = field(default_factory=dict)  # by class, or "", and name
    classes: dict[str, dict[str, str]] = field(default_factory=dict)  # the classes that their attributes are of
    imported: dict[str, str] = field(default_factory=dict)  # names, to the dotted names behind them


class Sources:
    def __init__(self, texts: Mapping[str, str]) -> None:
        self._modules = {name: _read(ast.parse(text)) for name, text in texts.items()}

    def handlers(self) -> list[Place]:
        return sorted(
            (
                Place(name, owner, function)
                for name, module in self._modules.items()
                for (owner, function), node in module.functions.items()
                if any(ast.unparse(each).startswith("workflow.update") for each in node.decorator_list)
            ),
            key=str,
        )

    def commands(self, place: Place, seen: frozenset[Place] = frozenset()) -> Iterator[str]:
        """What it emits, or whatever it calls does: each with the way there."""
        if place in seen:
            return
        for call in _calls(self._modules[place.module].functions[place.owner, place.name]):
            if found := _command(call):
                yield f"{place}: {found}"
            elif (onward := self._called(place, ast.unparse(call.func))) is not None:
                for each in self.commands(onward, seen | {place}):
                    yield f"{place} > {each}"

    def _called(self, place: Place, dotted: str) -> Place | None:
        """None: it is none of ours, or nobody can tell."""
        first, *rest = dotted.split(".")
        if first == "self" and place.owner:
            return self._within(place.module, place.owner, rest)
        if not rest and ("", first) in self._modules[place.module].functions:
            return Place(place.module, "", first)
        if first in self._modules[place.module].classes:
            return self._within(place.module, first, rest or ["__init__"])
        behind = self._modules[place.module].imported.get(first, "")
        if behind in self._modules:  # a module of ours
            return self._called(Place(behind, "", ""), ".".join(rest)) if rest else None
        home, _, name = behind.rpartition(".")
        return self._called(Place(home, "", ""), ".".join([name, *rest])) if home in self._modules else None

    def _within(self, module: str, owner: str, path: list[str]) -> Place | None:
        first, *rest = path
        if not rest:
            return Place(module, owner, first) if (owner, first) in self._modules[module].functions else None
        of_class = self._modules[module].classes.get(owner, {}).get(first, "")
        if of_class in self._modules[module].classes:
            return self._within(module, of_class, rest)
        home, _, name = self._modules[module].imported.get(of_class, "").rpartition(".")
        return self._within(home, name, rest) if home in self._modules else None


def _read(tree: ast.Module) -> Module:
    found = Module()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found.imported |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, Function):
            found.functions["", node.name] = node
        elif isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, Function)]
            found.functions |= {(node.name, each.name): each for each in methods}
            found.classes[node.name] = dict(_attributes(each for each in methods if each.name == "__init__"))
    return found


def _attributes(inits: Iterator[Function]) -> Iterator[tuple[str, str]]:
    """Attributes that are filled by calling a class."""
    for node in (each for init in inits for each in ast.walk(init)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                    yield target.attr, node.value.func.id


def _calls(function: Function) -> Iterator[ast.Call]:
    """What is only handed on by its name is not called."""
    yield from (node for line in function.body for node in ast.walk(line) if isinstance(node, ast.Call))


def _command(call: ast.Call) -> str:
    """What the call emits; "" for nothing."""
    owner, _, name = ast.unparse(call.func).rpartition(".")
    of_workflow = owner == "workflow"
    if of_workflow and name.removesuffix("_method").removesuffix("_class") in COMMANDS + NOT_TWICE_THE_SAME:
        return f"workflow.{name}"
    if of_workflow and name == "wait_condition" and any(each.arg == "timeout" for each in call.keywords):
        return "a timer, by wait_condition with a timeout"
    if owner and name in ("signal", "cancel"):
        return f"{owner}.{name}"  # to another workflow; or a task of ours ends, and so does what it waits for
    return ""


def _ours() -> Sources:
    paths = sorted(SOURCES.rglob("*.py"))
    parts = {path: path.relative_to(SOURCES).with_suffix("").parts for path in paths}
    return Sources({".".join((PACKAGE, *parts[path])): path.read_text() for path in paths})


def test_every_handler_is_looked_at():
    defined = sum(len(workflow._Definition.must_from_class(each).updates) for each in WORKFLOWS)
    assert len(_ours().handlers()) == defined
    assert defined >= 20


@pytest.mark.parametrize("handler", _ours().handlers(), ids=str)
def test_a_handler_of_an_update_emits_no_command(handler: Place):
    assert list(_ours().commands(handler)) == []


STEPS = """
from temporalio import workflow

async def write_down(what):
    await _on_record(what)

async def _on_record(what):
    await workflow.execute_activity("record", what)
"""
PLANTED = """
import asyncio
from temporalio import workflow
from holdfast.workflows import steps
from holdfast.workflows.errands import Errands
from holdfast.workflows.saver import Saver

class Planted:
    def __init__(self, order):
        self._saver = Saver(order)
        self._errands = Errands()

    @workflow.update
    async def {handler}(self):
        {body}

    def _note(self):
        self._begin()

    def _begin(self):
        self._task = asyncio.create_task(steps.write_down("it began"))
"""
SAVER = """
class Saver:
    async def save(self):
        await self._deliver()

    async def _deliver(self):
        await workflow.get_external_workflow_handle("saver").signal("save")
"""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("await workflow.wait_condition(lambda: self._over, timeout=patience)", "a timer"),
        ("self._note()", "_note > planted.Planted._begin > steps.write_down > steps._on_record: workflow.execute_act"),
        ("return await self._saver.save()", "saver.Saver._deliver: workflow.get_external_workflow_handle"),
        ("return str(workflow.uuid4())", "workflow.uuid4"),
        ("self._greeting.cancel()", "self._greeting.cancel"),
        ("if workflow.patched('this'): return", "workflow.patched"),
    ],
)
def test_a_command_that_is_planted_is_found(body: str, found: str):
    assert found in "\n".join(_commands_of_planted(body))


@pytest.mark.parametrize(
    "body",
    [
        "await workflow.wait_condition(lambda: self._over)",
        "await self._errands.do(steps.write_down, 'it began')",
        "self._over = True",
    ],
)
def test_who_waits_or_leaves_an_errand_emits_nothing(body: str):
    assert _commands_of_planted(body) == []


def _commands_of_planted(body: str) -> list[str]:
    names = {"planted": PLANTED.format(handler="order", body=body), "steps": STEPS, "saver": SAVER}
    texts = {f"{PACKAGE}.{name}": text for name, text in names.items()}
    texts[f"{PACKAGE}.errands"] = (SOURCES / "errands.py").read_text()
    sources = Sources(texts)
    (handler,) = sources.handlers()
    return list(sources.commands(handler))
