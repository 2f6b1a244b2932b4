"""What every method keeps: a row each says how its recipe differs from GRPO's; all else is run over all at once."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pytest
import tomli_w
import torch
from safetensors.torch import load_file

import pilothouse.methods
from pilothouse.core.cards import Verdict
from pilothouse.core.errors import ConfigError
from pilothouse.methods.base import configured, find_method, language_methods, methods
from pilothouse.policies.tiny import tiny_policy
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import without_none
from pilothouse.training.recipe import PolicyGradient
from pilothouse.training.run import resume, train

pytestmark = pytest.mark.usefixtures("fresh_cache")


class Row(TypedDict):
    """A method, and what it changes of GRPO's recipe: the settings its paper is about; and what makes it small."""

    name: str
    differs: dict[str, Any]
    small: NotRequired[dict[str, Any]]


ROWS: list[Row] = [
    {"name": "grpo", "differs": {}},
    {
        "name": "dr-grpo",
        "differs": {"credit.name": "dr-grpo", "credit.std": "none", "objective.aggregation": "fixed-length"},
    },
    {
        "name": "dapo",
        "differs": {
            "select.name": "zero-variance",
            "credit.name": "soft-overlong",
            "credit.of.name": "grpo",
            "objective.eps_high": 0.28,
            "objective.aggregation": "token-mean",
            "training.refill": 3,
        },
    },
    {
        "name": "gspo",
        "differs": {
            "objective.name": "gspo",
            "objective.ratio": "sequence",
            "objective.eps_low": 3e-4,
            "objective.eps_high": 4e-4,
            "training.minibatches": 4,
        },
    },
    {
        "name": "rloo",
        "differs": {
            "credit.name": "rloo",
            "credit.mean": "loo",
            "credit.std": "none",
            "objective.aggregation": "sequence-sum",
        },
    },
    {
        "name": "reinforce-pp",
        "differs": {
            "program.n": 1,
            "credit.name": "reinforce-pp",
            "credit.gamma": 1.0,
            "objective.aggregation": "token-mean",
            "training.prompts": 512,
        },
    },
    {
        "name": "ppo",
        "differs": {
            "program.n": 4,
            "credit.name": "gae",
            "credit.lam": 0.95,
            "credit.gamma": 1.0,
            "objective.name": "sum",
            "training.epochs": 4,
            "training.prompts": 64,
        },
    },
    {
        "name": "alphamath",
        "differs": {
            "program.name": "mcts",
            "program.terminals": "outcome",
            "program.sampling.temperature": 0.8,
            "select.name": "path-quota",
            "credit.name": "imitation",
            "objective.name": "sum",
            "scorer.name": "value-head",
            "value_head.squash": "tanh",
            "value_head.dropout": 0.1,
            "training.steps": 3,
            "training.prompts": 400,
            "training.epochs": 3,
            "training.minibatches": 8,
            "training.restart": True,
        },
    },
    {
        "name": "lite-ppo",
        "differs": {"credit.name": "lite-ppo", "credit.std": "batch", "objective.aggregation": "token-mean"},
    },
    {"name": "thought-branches", "differs": {"program.name": "resample", "program.n": 2}},
    {
        "name": "treepo",
        "differs": {
            "program.name": "treepo",
            "program.width": 16,
            "program.branch": 2,
            "select.name": "zero-variance",
            "credit.name": "tree-subgroup",
            "credit.weighting": "average",
            "objective.eps_high": 0.28,
            "objective.dual_clip": 10.0,
            "objective.aggregation": "token-mean",
            "training.prompts": 32,
            "training.refill": 3,
        },
        "small": {"program": {"width": 4}},
    },
    {
        "name": "riskpo",
        "differs": {
            "credit.name": "riskpo",
            "credit.measure": "mvar",
            "credit.alpha": 0.2,
            "credit.beta": 0.8,
            "credit.omega": 0.5,
            "credit.bundle_size": 5,
            "credit.spread": "uniform",
            "credit.quantiles": "track",
            "objective.ratio": "sequence",
            "training.minibatches": 2,
            "training.prompts": 60,
        },
    },
    {
        "name": "adora",
        "differs": {
            "credit.name": "adora",
            "credit.of.name": "grpo",
            "credit.criterion.name": "length-advantage",
            "credit.criterion.no_correct": True,
            "credit.criterion.no_wrong": False,
            "credit.favoured": 1.0,
            "credit.other": 0.1,
        },
    },
    {
        "name": "progrpo",
        "differs": {
            "credit.name": "progrpo",
            "credit.of.name": "grpo",
            "credit.alpha": 0.3,
            "credit.fraction": 0.2,
            "objective.eps_high": 0.28,
            "objective.aggregation": "token-mean",
        },
    },
    {
        "name": "d3s",
        "differs": {
            "select.name": "d3s",
            "select.n.start": 0.3,
            "select.n.end": 0.6,
            "select.k.start": 0.5,
            "select.k.end": 1.0,
            "objective.eps_high": 0.28,
            "objective.aggregation": "token-mean",
        },
    },
    {
        "name": "dot",
        "differs": {
            "program.n": 32,
            "select.name": "chain",
            "objective.name": "kl-cov",
            "objective.ratio": 0.002,
            "objective.coef": 1.0,
            "objective.aggregation": "sequence-mean",
            "training.prompts": 128,
            "training.minibatches": 4,
        },
        "small": {
            "program": {"n": 12},  # the smallest group that alpha 3 can cut in
            "select": {
                "name": "chain",
                "parts": [{"name": "outlier-truncation", "success_value": 1.0}, "zero-variance", "predictive-sampling"],
            },
        },
    },
    {
        "name": "hbpo",
        "differs": {
            "program.name": "budgeted-group",
            "program.n": 16,
            "program.budgets": [512, 1024, 2048, 2560],
            "credit.name": "hierarchical",
            "credit.w_intra": 1.0,
            "credit.beta": 4.0,
            "objective.eps_high": 0.28,
            "objective.dual_clip": 3.0,
            "objective.aggregation": "token-mean",
            "training.minibatches": 4,
        },
        "small": {"program": {"n": 4, "budgets": [2, 4, 6, 7], "announcements": ["1", "2", "3", "4"]}},
    },
    {
        "name": "t-ppo",
        "differs": {
            "program.n": 1,
            "credit.name": "gae",
            "credit.lam": 0.95,
            "credit.value_lam": 1.0,
            "credit.cut": "hold",
            "objective.eps_high": 0.28,
            "objective.aggregation": "token-mean",
            "critic.network": "separate",
            "critic.warmup": 20,
            "training.minibatches": 4,
            "training.window": 32,
        },
        "small": {"critic": {"warmup": 2}, "training": {"window": 3}},
    },
    {
        "name": "particle-scaling",
        "differs": {"program.name": "particles"},
        "small": {"scorer": "verifier", "program": {"n": 4, "stepping": {"tokens": 3}}},
    },
]
NAMES = [row["name"] for row in ROWS]
every_method = pytest.mark.parametrize("name", NAMES)


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def recipe(name: str) -> dict[str, Any]:
    return find_method(name).policy_gradient.model_dump(mode="json")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The smallest task on which every method learns something: even digits are worth a point each."""
    folder = tmp_path_factory.mktemp("contract")
    tiny_policy("0123456789+=", 0, "nano").save(folder / "model")
    lines = [json.dumps({"prompt": f"{i}+{i % 7}=", "answer": "-"}) for i in range(40)]
    (folder / "sums.jsonl").write_text("\n".join(lines))
    (folder / "even_digits.py").write_text(
        "def score(response):\n    return sum(response.count(d) for d in '02468') / 8\n"
    )
    sys.path.insert(0, str(folder))
    yield {
        "task": {"name": "jsonl", "data": str(folder / "sums.jsonl"), "reward": "even_digits:score", "max_tokens": 8},
        "policy": {"model": str(folder / "model")},
        "training": {"steps": 2, "prompts": 4, "eval_problems": 4, "checkpoint_every": 1, "learning_rate": 1e-3},
    }
    sys.path.remove(str(folder))


def run(name: str, settings: dict[str, Any], out: Path, **training: Any) -> dict[str, torch.Tensor]:
    """Train and return the weights."""
    small = next(row.get("small", {}) for row in ROWS if row["name"] == name)
    table = dict(settings)
    if find_method(name).policy_gradient.program.group_size > 1:
        table["program"] = {"n": 4}
    table |= small
    table["training"] = {**settings["training"], **small.get("training", {}), **training}
    train(configured(name, None, table), out, Progress())
    return load_file(out / "model" / "model.safetensors")


def test_there_is_a_row_for_every_method() -> None:
    trained = [name for name, method in methods().items() if isinstance(method.recipe, PolicyGradient)]
    assert sorted(NAMES) == trained, "add the new method's row"


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_recipe_differs_from_grpo_as_its_paper_says(row: Row) -> None:
    mine, base = flat(recipe(row["name"])), flat(recipe("grpo"))
    assert {key: mine[key] for key in row["differs"]} == row["differs"]
    changed = {key for key, value in mine.items() if key in base and base[key] != value}
    assert changed - row["differs"].keys() <= {"credit.eps"}, "a difference that its row does not tell"


@every_method
def test_card_is_complete(name: str) -> None:
    method = find_method(name)
    card = method.card
    assert card.name == name
    assert not [field.name for field in fields(card) if not getattr(card, field.name)]
    assert card.source.startswith("arXiv ")
    assert 2015 <= card.year <= 2026
    assert sys.modules[f"pilothouse.methods.{name.replace('-', '_')}"].__doc__, "the file tells the algorithm"


@every_method
def test_recipe_survives_toml(name: str) -> None:
    table = tomllib.loads(tomli_w.dumps(without_none(recipe(name))))
    assert PolicyGradient.model_validate(table).model_dump(mode="json") == recipe(name)


def test_no_two_methods_are_the_same() -> None:
    recipes = [json.dumps(recipe(name), sort_keys=True) for name in NAMES]
    assert len(set(recipes)) == len(recipes)


@every_method
def test_trains_and_resumes_bit_for_bit(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    before = load_file(Path(settings["policy"]["model"]) / "model.safetensors")
    after = run(name, settings, tmp_path / "whole")
    assert any(not torch.equal(before[key], after[key]) for key in before), "nothing was learnt"
    shutil.copytree(tmp_path / "whole", tmp_path / "broken")
    shutil.rmtree(tmp_path / "broken" / "checkpoints" / "step-000002")
    shutil.rmtree(tmp_path / "broken" / "model")
    resume(tmp_path / "broken", None, Progress())
    again = load_file(tmp_path / "broken" / "model" / "model.safetensors")
    assert all(torch.equal(after[key], again[key]) for key in after)


@every_method
def test_micro_batches_change_nothing_but_rounding(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    whole = run(name, settings, tmp_path / "whole", steps=1)
    split = run(name, settings, tmp_path / "split", steps=1, micro_tokens=24)
    for key in whole:
        # A step is 1e-3 wherever Adam sees any gradient, however small: where it is next to nothing, rounding shows.
        torch.testing.assert_close(split[key], whole[key], rtol=0, atol=3e-5)


#: The others share grpo's experiment, which runs with the commands.
OWN = ("lite-ppo", "riskpo", "adora", "progrpo", "particle-scaling", "thought-branches")


@pytest.mark.parametrize("name", [n if n in OWN else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_reproduces_at_smoke_scale(name: str, tmp_path: Path) -> None:
    evidence = find_method(name).reproduce("smoke", tmp_path, Progress())
    assert evidence.verdict is Verdict.SMOKE
    assert evidence.claims
    assert all(claim.n >= 1 and claim.statement and claim.bar for claim in evidence.claims)
    assert (tmp_path / evidence.figure).is_file()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that counts as part of the room, for files dropped there."""
    monkeypatch.setattr(pilothouse.methods, "__path__", [*pilothouse.methods.__path__, str(tmp_path)])
    methods.cache_clear()
    yield tmp_path
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"pilothouse.methods.{path.stem}", None)
    methods.cache_clear()


NEW = """
from dataclasses import replace
from pilothouse.methods.grpo import METHOD as GRPO
METHOD = replace(GRPO, card=replace(GRPO.card, name="{name}"))
"""


def test_a_file_dropped_in_the_folder_is_a_method(shelf: Path) -> None:
    (shelf / "brand_new.py").write_text(NEW.format(name="brand-new"))
    assert "brand-new" in methods()
    assert find_method("brand-new").recipe == find_method("grpo").recipe


ADVICE = """
from dataclasses import replace
from pilothouse.methods.grpo import METHOD as GRPO

METHOD = replace(GRPO, card=replace(GRPO.card, name="advice"), recipe=None)
"""


def test_a_method_may_train_nothing(shelf: Path) -> None:
    (shelf / "advice.py").write_text(ADVICE)
    assert find_method("advice").to_dict()["recipe"] is None
    assert "advice" in methods()
    assert "advice" not in language_methods()
    with pytest.raises(ConfigError, match=r"method 'advice' trains no language policy: .* methods such as grpo do"):
        configured("advice", None, {})


def test_two_methods_of_one_name_are_refused(shelf: Path) -> None:
    (shelf / "impostor.py").write_text(NEW.format(name="ppo"))
    with pytest.raises(ConfigError, match="two methods are called 'ppo'; rename one"):
        methods()
