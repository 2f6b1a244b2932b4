"""Which files of the house hold a method."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

import pilothouse
from pilothouse.core.parts import Part
from pilothouse.methods.base import Method
from pilothouse.tasks.scorer import Scorer

_HOUSE = Path(inspect.getfile(pilothouse)).parent
_PARTS = ("programs", "credit", "objectives", "policies", "control", "tasks")
_NOTHING = ("none", "everything")  # parts that stand for having none
_HOLDS = ("decisions", "engines")  # rooms without parts: what an experiment takes from them is what it measures


def house_files(method: Method) -> list[str]:
    """Return the files that hold a method, relative to the package: its own, its experiment's, its parts'.

    Args:
        method: a registered one.
    """
    experiment = method.reproduce.func if isinstance(method.reproduce, partial) else method.reproduce
    own, measured = _module_of(method), sys.modules[experiment.__module__]
    parts = sorted({kind.__module__ for holder in (method.recipe, method.search) for kind in _kinds(holder)})
    rooms = _HOLDS if method.recipe is None and method.search is None else _HOLDS[:1]
    used = sorted(set(_imported((own, measured), rooms)))
    files = [
        *map(_path, (own, measured)),
        *(f"{name.removeprefix('pilothouse.').replace('.', '/')}.py" for name in (*used, *parts)),
    ]
    return list(dict.fromkeys(files))


def _module_of(method: Method) -> ModuleType:
    package = "pilothouse.methods."
    named = [module for name, module in sorted(sys.modules.items()) if name.startswith(package)]
    return next(module for module in named if getattr(module, "METHOD", None) is method)


def _path(module: ModuleType) -> str:
    """A module's file; for a package its folder."""
    path = Path(inspect.getfile(module)).relative_to(_HOUSE)
    return f"{path.parent.as_posix()}/" if path.name == "__init__.py" else path.as_posix()


def _kinds(value: Any) -> Iterator[type]:
    """The classes that a composition is made of, however deep; shared settings that were left alone are none of it."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _kinds(item)
    if not isinstance(value, BaseModel) or (isinstance(value, Part) and value.name in _NOTHING):
        return
    if type(value).__module__.split(".")[1] in _PARTS and not type(value).__module__.endswith(".base"):
        yield type(value)
    for name, field in type(value).model_fields.items():
        inner = getattr(value, name)
        shared = isinstance(inner, Scorer) or not isinstance(inner, Part)
        if not (shared and inner == field.default):
            yield from _kinds(inner)


def _imported(modules: Iterable[ModuleType], rooms: tuple[str, ...]) -> Iterator[str]:
    """Modules of those rooms that the files, or the packages they are, import."""
    for module in modules:
        path = Path(inspect.getfile(module))
        for file in path.parent.glob("*.py") if path.name == "__init__.py" else [path]:
            for node in ast.walk(ast.parse(file.read_text())):
                name = node.module or "" if isinstance(node, ast.ImportFrom) else ""
                if name.startswith(tuple(f"pilothouse.{room}." for room in rooms)):
                    yield name
