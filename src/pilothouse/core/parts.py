"""Parts: small typed objects that are their own configuration.

A part's fields are its settings; calling it does its work. The same class is what Python composes, what a TOML table
names and what the command line overrides, so nothing is declared twice. Each room has one base class with a
``Catalogue`` that finds every part in the room's folder: dropping a file there is all it takes to add one.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, ValidationError, model_serializer
from pydantic_core import CoreSchema, core_schema
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from pilothouse.core.errors import ConfigError, nearest


class Settings(BaseModel):
    """A group of typed settings; an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, frozen=False, protected_namespaces=())


class Part(Settings):
    """A named, swappable piece of a method. Subclasses set ``name``; a room's base class sets ``catalogue``."""

    name: ClassVar[str] = ""
    catalogue: ClassVar[Catalogue]

    @model_serializer(mode="wrap")
    def _with_name(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"name": type(self).name, **handler(self)}

    def state_dict(self) -> dict[str, Any]:
        """Return what this part remembers between steps; saved in every checkpoint. Stateless parts return {}."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        if state:
            raise ConfigError(f"part '{self.name}' keeps no state but the checkpoint holds {sorted(state)}")

    @classmethod
    def build(cls, spec: Any) -> Self:
        """Return the part that ``spec`` describes.

        Args:
            spec: a part (returned as it is), a name, ``module:Class``, or a table with ``name`` and its settings.

        Raises:
            ConfigError: the name or a setting is unknown, or a value has the wrong type.
        """
        part = cls.catalogue.build(spec)
        if not isinstance(part, cls):
            raise ConfigError(f"'{part.name}' is a {type(part).__name__}, not a {cls.__name__}")
        return part


class Catalogue:
    """The parts of one room, found by importing every module of its package.

    Args:
        kind: what the room holds, in the singular, for messages ("credit", "program").
        package: dotted name of the room's package.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._found: dict[str, type[Part]] | None = None

    def classes(self) -> dict[str, type[Part]]:
        """Return every part of the room by name, in alphabetical order."""
        if self._found is None:
            found: dict[str, type[Part]] = {}
            package = importlib.import_module(self.package)
            for info in pkgutil.iter_modules(package.__path__):
                module = importlib.import_module(f"{self.package}.{info.name}")
                for item in vars(module).values():
                    if not (inspect.isclass(item) and issubclass(item, Part) and item.__module__ == module.__name__):
                        continue
                    if item.name and item.catalogue is self:
                        if item.name in found:
                            raise ConfigError(f"two {self.kind} parts are called '{item.name}'; rename one")
                        found[item.name] = item
            self._found = dict(sorted(found.items()))
        return self._found

    def find(self, name: str) -> type[Part]:
        """Return the class called ``name``, or the class at ``module:Class``.

        Raises:
            ConfigError: nothing is called that.
        """
        if ":" in name:
            module, _, attribute = name.partition(":")
            try:
                return getattr(importlib.import_module(module), attribute)
            except (ImportError, AttributeError) as error:
                raise ConfigError(f"cannot import {self.kind} '{name}': {error}") from error
        try:
            return self.classes()[name]
        except KeyError:
            raise ConfigError(f"unknown {self.kind} '{name}'{nearest(name, self.classes())}") from None

    def build(self, spec: Any) -> Part:
        """Return the part that ``spec`` describes (see ``Part.build``)."""
        if isinstance(spec, Part):
            return spec
        if isinstance(spec, str):
            return self.parse(spec)
        if not isinstance(spec, Mapping) or "name" not in spec:
            raise ConfigError(f"a {self.kind} is a name or a table with a 'name', not {spec!r}")
        settings = dict(cast(Mapping[str, Any], spec))
        name = str(settings.pop("name"))
        return validated(self.find(name), settings, f"{self.kind} '{name}'")

    def parse(self, text: str) -> Part:
        """Return the part called ``text``; rooms whose parts add up also read "0.5*a + 0.5*b"."""
        return validated(self.find(text.strip()), {}, f"{self.kind} '{text.strip()}'")


class SummedCatalogue(Catalogue):
    """The catalogue of a room whose parts can be weighted and added, as in ``0.5*grpo + 0.5*rloo``.

    The room holds a part called ``sum`` with a field ``terms``, a list of tables ``{weight, part}``.
    """

    def parse(self, text: str) -> Part:
        """Return the part that the expression describes."""
        if "+" not in text and "*" not in text:
            return super().parse(text)
        terms: list[dict[str, Any]] = []
        for term in text.split("+"):
            weight, star, name = term.rpartition("*")
            try:
                factor = float(weight) if star else 1.0
            except ValueError:
                raise ConfigError(
                    f"cannot read '{term.strip()}' in {self.kind} '{text}'; write it as '0.5*a + 0.5*b'"
                ) from None
            terms.append({"weight": factor, "part": super().parse(name)})
        return validated(self.find("sum"), {"terms": terms}, f"{self.kind} '{text}'")


SettingsT = TypeVar("SettingsT", bound=BaseModel)


def validated(model: type[SettingsT], values: Mapping[str, Any], where: str) -> SettingsT:
    """Return ``model(**values)``, turning pydantic's report into one sentence.

    Args:
        model: the settings class.
        values: what the user gave.
        where: how to call this table in the message.

    Raises:
        ConfigError: a key is unknown (the nearest is named) or a value has the wrong type.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as report:
        raise ConfigError(explain(report, model, where)) from None


def explain(report: ValidationError, model: type[BaseModel], where: str) -> str:
    """Return the first entry of a pydantic report as a sentence that names the setting and the fix."""
    first = report.errors(include_url=False)[0]
    path = ".".join(str(piece) for piece in first["loc"])
    if first["type"] == "extra_forbidden":
        owner: Any = model
        for piece in first["loc"][:-1]:
            field = getattr(owner, "model_fields", {}).get(str(piece))
            owner = getattr(field, "annotation", None)
        known = getattr(owner, "model_fields", model.model_fields)
        return f"unknown setting '{path}' in {where}{nearest(str(first['loc'][-1]), known)}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return message  # written by us: it already names what is wrong
    if not path:
        return f"{where}: {message}"
    return f"setting '{path}' in {where} is {first['input']!r}: {message}"


class Slot:
    """Marks a field that holds any part of a room: ``credit: Annotated[Credit, SLOT]``.

    The field accepts what ``Part.build`` accepts and is written back as the part's own table, name included.
    """

    def __get_pydantic_core_schema__(self, base: type[Part], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema that builds the part and serialises it with all its own fields."""

        def read(spec: Any) -> Part:
            try:
                return base.build(spec)
            except ConfigError as error:
                raise ValueError(str(error)) from error

        def write(part: Part) -> dict[str, Any]:
            return part.model_dump(mode="json")

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(write)
        )


SLOT = Slot()


def _listed(value: Any) -> Any:
    return [piece.strip() for piece in value.split(",")] if isinstance(value, str) else value


#: Marks a tuple that may also be written as one name, or as several between commas.
LISTED = BeforeValidator(_listed)
