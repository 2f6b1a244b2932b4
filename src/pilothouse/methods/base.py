"""The method protocol and its registry: a file dropped in this folder is found, there is no list to edit."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from pilothouse.core.cards import Card, Evidence
from pilothouse.core.errors import ConfigError, nearest
from pilothouse.core.seeds import SeedTree
from pilothouse.programs.base import Program
from pilothouse.reports.progress import Progress
from pilothouse.tasks.scorer import ExactSteps, Scorer
from pilothouse.training.config import RunConfig, RunSettings, read_toml, resolve, resolve_as
from pilothouse.training.kinds import kind_of_recipe
from pilothouse.training.recipe import PolicyGradient, Recipe

#: The experiment behind a method's claim: takes a scale ("smoke", "small", "gpu"), an output folder and a progress.
Reproduce: TypeAlias = Callable[[str, Path, Progress], Evidence]

#: What a method reads off a search's trace: a table, a row a line; draws from the node of the seed tree it is given.
Report: TypeAlias = Callable[[Mapping[str, Any], SeedTree], list[dict[str, Any]]]

SCALES = ("smoke", "small", "gpu")


@dataclass(frozen=True)
class Method:
    """A published system: its card, its composition and its claim as an experiment.

    Args:
        card: what it says of itself.
        reproduce: runs the claim.
        recipe: the composition with the paper's settings, for training; ``None`` if the method trains no policy.
        search: how it attempts a problem when it searches or serves; by default as it does in training.
        report: what it reads off the trace of such a search, shown beside the answer.
    """

    card: Card
    reproduce: Reproduce
    recipe: Recipe | None = None
    search: Program | None = None
    report: Report | None = None

    @property
    def trained(self) -> Recipe:
        """The composition of a method that trains something.

        Raises:
            ConfigError: it trains nothing.
        """
        return self.policy_gradient if self.recipe is None else self.recipe  # the former says that there is none

    @property
    def policy_gradient(self) -> PolicyGradient:
        """The composition of a method that trains a language policy from its episodes.

        Raises:
            ConfigError: it trains none.
        """
        if not isinstance(self.recipe, PolicyGradient):
            raise ConfigError(
                f"method '{self.card.name}' trains no language policy: 'pilothouse methods {self.card.name}' says what "
                "it does; methods such as grpo do"
            )
        return self.recipe

    @property
    def program(self) -> Program:
        """How it attempts a problem for a user.

        Raises:
            ConfigError: it uses no language policy.
        """
        return self.search or self.policy_gradient.program

    @property
    def scorer(self) -> Scorer:
        """What judges its partial responses, if its program asks."""
        return self.recipe.scorer if isinstance(self.recipe, PolicyGradient) else ExactSteps()

    def to_dict(self) -> dict[str, Any]:
        """Return card and composition for JSON."""
        recipe = self.recipe.model_dump(mode="json") if self.recipe else None
        return {**self.card.to_dict(), "recipe": recipe}


@cache
def methods() -> dict[str, Method]:
    """Return every method by name: each module of this room that defines ``METHOD``.

    Raises:
        ConfigError: two files carry a card of the same name.
    """
    package = importlib.import_module("pilothouse.methods")
    found: dict[str, Method] = {}
    for info in pkgutil.iter_modules(package.__path__):
        method = getattr(importlib.import_module(f"pilothouse.methods.{info.name}"), "METHOD", None)
        if isinstance(method, Method):
            if method.card.name in found:
                raise ConfigError(f"two methods are called '{method.card.name}'; rename one")
            found[method.card.name] = method
    return dict(sorted(found.items()))


def language_methods() -> dict[str, Method]:
    """Return by name the methods that train, search or serve with a language policy."""
    return {n: m for n, m in methods().items() if m.search is not None or isinstance(m.recipe, PolicyGradient)}


def find_method(name: str) -> Method:
    """Return the method called ``name``.

    Raises:
        ConfigError: nothing is called that; the message names the nearest.
    """
    try:
        return methods()[name]
    except KeyError:
        raise ConfigError(f"unknown method '{name}'{nearest(name, methods())}") from None


def read_settings(method: str, config: Path | None) -> tuple[str, dict[str, Any]]:
    """Return the method's name and the settings that a TOML file lays over its own.

    Args:
        method: the method's name; empty takes the one that the file names.
        config: a TOML file, such as another run's ``config.toml``; ``None`` lays nothing over.

    Raises:
        ConfigError: there is no method or two different ones, or the file cannot be read.
    """
    table = read_toml(config) if config else {}
    table.pop("versions", None)
    named = table.pop("method", method)
    if not named:
        raise ConfigError("which method? give its name, such as 'pilothouse train grpo --task gsm8k-calc'")
    if method and method != named:
        raise ConfigError(f"{config} configures method '{named}', not '{method}': drop one of the two names")
    return named, table


def configured(method: str, config: Path | None, over: Mapping[str, Any]) -> RunSettings:
    """Return the configuration that a method's name, a TOML file and further settings make together.

    Its kind follows from the method's recipe: language policies have one, policies that act another.

    Args:
        method: the method's name; empty takes the one that the file names.
        config: a TOML file.
        over: settings that win over the file's.

    Raises:
        ConfigError: there is no method or two different ones, or a setting is refused.
    """
    named, table = read_settings(method, config)
    recipe = find_method(named).trained
    return resolve_as(kind_of_recipe(recipe), named, recipe, (table, over))


def configured_language(method: str, config: Path | None, over: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of a method that trains a language policy (see ``configured``).

    Raises:
        ConfigError: the method trains none.
    """
    named, table = read_settings(method, config)
    return resolve(named, find_method(named).policy_gradient, table, over)
