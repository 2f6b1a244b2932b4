"""The kinds of runs there are: one for each kind of recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilothouse.training.action_config import ActionConfig
from pilothouse.training.config import RunConfig, RunSettings
from pilothouse.training.offline_config import OfflineConfig
from pilothouse.training.recipe import Recipe

#: Configurations by what ``config.toml`` says of its kind; a language run says nothing.
KINDS: dict[str, type[RunSettings]] = {"": RunConfig, "actions": ActionConfig, "offline": OfflineConfig}


def kind_of_run(table: Mapping[str, Any]) -> type[RunSettings]:
    """Return the class of a configuration read from ``config.toml``."""
    return KINDS.get(str(table.get("kind", "")), RunConfig)


def kind_of_recipe(recipe: Recipe) -> type[RunSettings]:
    """Return the class of the configurations that a recipe is the heart of."""
    return next(kind for kind in KINDS.values() if issubclass(kind, type(recipe)))
