"""What every method that learns to act must keep."""

from __future__ import annotations

import shutil
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from safetensors.torch import load_file

from pilothouse.methods.base import configured, find_method, methods
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import without_none
from pilothouse.training.action_recipe import ActionPolicy
from pilothouse.training.run import resume, train

NAMES = [name for name, method in methods().items() if isinstance(method.recipe, ActionPolicy)]
every_method = pytest.mark.parametrize("name", NAMES)

SMALL: dict[str, Any] = {
    "task": "pick-lift",
    "training": {"steps": 2, "demonstrations": 3, "batch": 8, "checkpoint_every": 1, "eval_episodes": 2},
}


def recipe(name: str) -> ActionPolicy:
    found = find_method(name).recipe
    assert isinstance(found, ActionPolicy)
    return found


@every_method
def test_card_is_complete(name: str) -> None:
    card = find_method(name).card
    assert not [field.name for field in fields(card) if not getattr(card, field.name)]
    assert card.source.startswith("arXiv ")
    assert card.family == "control"
    assert sys.modules[f"pilothouse.methods.{name.replace('-', '_')}"].__doc__, "the file tells the algorithm"


@every_method
def test_recipe_survives_toml(name: str) -> None:
    table = tomllib.loads(tomli_w.dumps(without_none(recipe(name).model_dump(mode="json"))))
    assert type(recipe(name)).model_validate(table) == recipe(name)


@every_method
def test_trains_and_resumes_bit_for_bit(name: str, tmp_path: Path) -> None:
    train(configured(name, None, SMALL), tmp_path / "whole", Progress())
    shutil.copytree(tmp_path / "whole", tmp_path / "broken")
    shutil.rmtree(tmp_path / "broken" / "checkpoints" / "step-000002")
    shutil.rmtree(tmp_path / "broken" / "model")
    resume(tmp_path / "broken", None, Progress())
    after, again = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("whole", "broken"))
    assert all(after[key].equal(again[key]) for key in after)
