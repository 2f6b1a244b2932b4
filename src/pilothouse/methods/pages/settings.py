"""Every setting of a method with its default and its meaning, read off the classes that hold them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

from pydantic import BaseModel

from pilothouse.core.parts import Part, Settings
from pilothouse.methods.base import Method
from pilothouse.programs.base import Sampling
from pilothouse.tasks.scorer import Scorer

_ARGUMENT = re.compile(r"^    (\w+(?:, \w+)*)(?: \([^)]*\))?: +(.*)$")


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        name: dotted, as on the command line without its dashes.
        value: its value, for reading.
        meaning: what it is.
    """

    name: str
    value: str
    meaning: str


def own_settings(method: Method) -> list[Setting]:
    """Return what makes the method: its parts with all of their settings, and which shared ones it sets otherwise.

    Args:
        method: any; one that trains nothing has the settings of its search.
    """
    if method.recipe is not None:
        return list(_of_recipe(method.recipe))
    if method.search is not None:
        return list(_of_part("program", method.search))
    return []


def all_settings(kind: type[BaseModel], name: str = "") -> Iterator[Setting]:
    """Yield the settings of a class with their defaults, those of nested groups too; parts count as one setting.

    Args:
        kind: a class of settings, which builds without arguments.
        name: what precedes their names.
    """
    told = meanings(kind)
    for field, value in _fields(kind()):
        full = f"{name}.{field}" if name else field
        if _is_group(value):
            yield from all_settings(type(value), full)
        else:
            yield Setting(full, shown(value), told.get(field, ""))


def meanings(kind: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each argument, by name."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Settings):
            found |= _arguments(inspect.cleandoc(base.__doc__ or ""))
    return found


def shown(value: Any) -> str:
    """Return a value for reading: parts by name, sums as they are written, the rest as in TOML."""
    if isinstance(value, Part):
        inside = _inside(value)
        return (
            " + ".join(f"{weight:g}*{part.name}" if weight != 1 else part.name for weight, part in inside) or value.name
        )
    if value is None:
        return "none"
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, BaseModel):
        return ", ".join(f"{field} = {shown(inner)}" for field, inner in _fields(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _inside(part: Part) -> list[tuple[float, Part]]:
    """The parts that a sum adds up, with their weights, or that a chain applies in turn; none of any other part."""
    terms = [(term.weight, term.part) for term in getattr(part, "terms", ())]
    return terms + [(1.0, one) for one in getattr(part, "parts", ())]


def _of_recipe(recipe: BaseModel) -> Iterator[Setting]:
    told, plain = meanings(type(recipe)), type(recipe)()
    for field, value in _fields(recipe):
        if isinstance(value, Scorer) and not recipe.program.needs_scorer():  # type: ignore[attr-defined]
            continue  # nobody asks it
        if isinstance(value, Part):
            yield from _of_part(field, value)
        elif _is_group(value):
            yield from _changed(field, value, getattr(plain, field))
        else:
            yield Setting(field, shown(value), told.get(field, ""))


def _of_part(name: str, part: Part) -> Iterator[Setting]:
    """A part's own name and what it is, then its settings, or those of the parts inside it."""
    inside = _inside(part)
    yield Setting(name, shown(part), _first_sentence(type(part)))
    for _, one in inside:
        yield from (
            Setting(f"{one.name}: {setting.name.removeprefix('.')}", setting.value, setting.meaning)
            for setting in list(_of_part("", one))[1:]
        )
    told = {} if inside else meanings(type(part))
    for field, value in () if inside else _fields(part):
        full = f"{name}.{field}"
        if isinstance(value, Part):
            yield from _of_part(full, value)
        elif isinstance(value, Sampling):  # the same for all programs: docs/settings.md has them
            yield from _changed(full, value, Sampling())
        elif _is_group(value):
            inner = meanings(type(value))
            yield from (Setting(f"{full}.{key}", shown(one), inner.get(key, "")) for key, one in _fields(value))
        else:
            yield Setting(full, shown(value), told.get(field, ""))


def _first_sentence(kind: type[Part]) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")


def _changed(name: str, group: BaseModel, plain: BaseModel) -> Iterator[Setting]:
    """The settings of a shared group that differ from its defaults."""
    told = meanings(type(group))
    for field, value in _fields(group):
        usual, full = getattr(plain, field), f"{name}.{field}"
        if value == usual:
            continue
        if _is_group(value) and _is_group(usual) and not isinstance(value, Part):
            yield from _changed(full, value, usual)
        elif isinstance(value, Part):
            yield from _of_part(full, value)
        else:
            yield Setting(full, shown(value), told.get(field, ""))


def _fields(group: BaseModel) -> Iterator[tuple[str, Any]]:
    return ((field, getattr(group, field)) for field in type(group).model_fields)


def _is_group(value: Any) -> TypeGuard[Settings]:
    return isinstance(value, Settings) and not isinstance(value, Part)


def _arguments(text: str) -> dict[str, str]:
    """The entries of a docstring's "Args:" section; a line indented further continues the one before."""
    found: dict[str, str] = {}
    names: list[str] = []
    inside = False
    for line in text.splitlines():
        if line and not line.startswith(" "):
            inside = line.strip() == "Args:"
        elif inside and (match := _ARGUMENT.match(line)):
            names = [name.strip() for name in match[1].split(",")]
            found |= dict.fromkeys(names, match[2].strip())
        elif inside and names and line.strip():
            found |= dict.fromkeys(names, f"{found[names[0]]} {line.strip()}")
    return found
