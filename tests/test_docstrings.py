"""Every public name says what it does, of which shapes and what it raises, and shows its use; what it shows runs."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import textwrap
from pathlib import Path

import pytest
from torch import nn

import ghostnet
from ghostnet import Experiment, GhostnetError, Network, Simulator

PAGE = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
(GIVEN,) = re.findall(r"^```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)  # before every example


def is_function(thing: object) -> bool:
    return inspect.isroutine(thing) or inspect.isclass(thing)


def public() -> dict[str, object]:
    """The functions and classes that ghostnet and its modules name, and what a user calls of those in hand."""
    found = {name: getattr(ghostnet, name) for name in ghostnet.__all__}
    for place, module in [(name, thing) for name, thing in found.items() if inspect.ismodule(thing)]:
        found |= {f"{place}.{name}": getattr(module, name) for name in module.__all__}
    for kind in (Simulator, Network, Experiment):
        found |= {f"{kind.__name__}.{name}": value for name, value in inspect.getmembers(kind) if name[0] != "_"}
    layers = {name for name, thing in found.items() if inspect.isclass(thing) and issubclass(thing, nn.Module)}
    found = {name: thing for name, thing in found.items() if name not in layers}  # gn.torch tells of all together
    return {name: thing for name, thing in found.items() if is_function(thing) or isinstance(thing, property)}


PUBLIC = public()
CALLED = {
    name: thing
    for name, thing in PUBLIC.items()
    if is_function(thing) and not (inspect.isclass(thing) and issubclass(thing, GhostnetError))
}
FUNCTIONS = {name: thing for name, thing in CALLED.items() if inspect.isroutine(thing)}


def refuses(function: object) -> bool:
    """Whether the text of a function raises something itself."""
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))))
    calls = (node.func for node in nodes if isinstance(node, ast.Call))
    required = any(isinstance(called, ast.Name) and called.id.startswith("require") for called in calls)
    return required or any(isinstance(node, ast.Raise) for node in nodes)


@pytest.mark.parametrize("name", PUBLIC)
def test_it_says_what_it_is(name):
    assert PUBLIC[name].__doc__


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if refuses(function)])
def test_it_says_what_it_raises(name):
    assert "Raises:" in FUNCTIONS[name].__doc__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_says_the_shape_of_every_array_that_it_takes(name):
    function = inspect.unwrap(FUNCTIONS[name])
    arrays = [name for name, kind in function.__annotations__.items() if "rray" in kind and name != "return"]
    said = {array: re.search(rf"\b{array}: .*(\(.*,|as for|likewise)", function.__doc__) for array in arrays}
    assert all(said.values()), said


@pytest.mark.parametrize("name", CALLED)
def test_its_example_runs(name, tmp_path, monkeypatch):
    if name == "torch.for_opacus":
        pytest.importorskip("opacus")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": __name__}
    exec(GIVEN, names)
    example = doctest.DocTestParser().get_doctest(CALLED[name].__doc__, names, name, None, None)
    said = []
    done = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert done.attempted and not done.failed, "".join(said)
