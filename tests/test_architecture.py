"""The house stands as drawn: rooms import only from lower floors, no circles, no attic of utilities, small files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "pilothouse"
FILES = sorted(SOURCE.rglob("*.py"))

_GROUND = {"core"}
_TRAINING = _GROUND | {
    "tasks",
    "policies",
    "programs",
    "credit",
    "objectives",
    "control",
    "decisions",
    "engines",
    "reports",
}
#: What each room may import besides itself.
FLOORS: dict[str, set[str]] = {
    "core": set(),
    "tasks": _GROUND,
    "policies": _GROUND,
    "programs": _GROUND,
    "credit": _GROUND,
    "objectives": _GROUND,
    "reports": _GROUND,
    "decisions": _GROUND,
    "control": _GROUND | {"tasks", "policies"},
    "engines": _GROUND | {"policies", "programs"},
    "training": _TRAINING,
    "methods": _TRAINING | {"training"},
    "serving": _TRAINING | {"training", "methods"},
    "dashboard": _TRAINING | {"training", "methods", "serving"},
    "cli": _TRAINING | {"training", "methods", "serving", "dashboard"},
    "__main__": {"cli"},
    "__init__": set(),
}


def room(path: Path) -> str:
    """The first folder below the package, or the name of a file that lies there itself."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Rooms that a file imports anywhere in it, functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name, not relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "pilothouse" and rest.partition(".")[0] not in ("", "__version__"):
                yield rest.partition(".")[0]


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in FILES} <= FLOORS.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_room_imports_from_a_higher_floor(path: Path) -> None:
    above = set(imports(path)) - {room(path)} - FLOORS[room(path)]
    assert not above, f"{room(path)} may not import {sorted(above)}"


def test_no_circle_between_rooms() -> None:
    needs = {name: set[str]() for name in FLOORS}
    for path in FILES:
        needs[room(path)] |= set(imports(path)) - {room(path)}
    while free := [name for name, rooms in needs.items() if not rooms & needs.keys()]:
        for name in free:
            del needs[name]
    assert not needs, f"these rooms import one another in a circle: {needs}"


def test_files_are_small_and_named_for_what_they_hold() -> None:
    long = {str(path.relative_to(SOURCE)): n for path in FILES if (n := len(path.read_text().splitlines())) > 400}
    assert not long, "split what is over 400 lines"
    assert not [path for path in FILES if path.stem in ("utils", "util", "helpers", "common", "misc")]


def public(
    body: list[ast.stmt], owner: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Public functions and classes, and the public methods of public classes, by dotted name."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            decorators = {ast.unparse(item) for item in node.decorator_list}
            if decorators & {"overload", "override"} or any(item.endswith(".setter") for item in decorators):
                continue
            yield f"{owner}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{owner}{node.name}.")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_public_names_say_what_they_are(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a file says in a sentence what it holds"
    silent = [name for name, node in public(tree.body, "") if not ast.get_docstring(node)]
    assert not silent


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_functions_fit_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = node.body[0] if ast.get_docstring(node) else None
            length = (node.end_lineno or 0) - node.lineno + 1
            if text is not None:  # what a function says of itself is free
                length -= (text.end_lineno or 0) - text.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"
