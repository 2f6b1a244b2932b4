"""Part D: a tiny language model learns a teacher's records of an event stream, all of them or the selected third."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.gate import CostGate
from pilothouse.decisions.selection import rdc_score, top_fraction
from pilothouse.decisions.sweep import fared
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import TinyShape, tiny_policy
from pilothouse.policies.warm_start import WarmStart, warm_start
from pilothouse.tasks.proactive_stream import RARE, ProactiveStream, stated

SHAPE = TinyShape(width=64, layers=2, heads=2, kv_heads=1, head_dim=32, mlp=128, context=64)
COSTS = (1.0, 3.0)
DIGITS = "0123456789"

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Size:
    """How large part D is.

    Args:
        records: the teacher's records.
        held_out: windows to measure on.
        epochs: passes over all records; a third of them is passed over three times as often, at equal tokens.
        seeds: how many.
    """

    records: int
    held_out: int
    epochs: float
    seeds: int


def distilled(size: Size, seed: int) -> dict[str, dict[str, float]]:
    """Return by arm the realised cost an event and the false alarms of a student on held-out windows.

    Args:
        size: how large.
        seed: root of every draw.
    """
    task = ProactiveStream(train_size=size.records, test_size=size.held_out, seed=seed)
    train, test = task.problems("train"), task.problems("test")
    q_need, q_acc = _teacher(train)
    y_need, y_acc = _labels(train)
    lessons = [
        replace(problem, solution=stated(need, acc))
        for problem, need, acc in zip(train, q_need.tolist(), q_acc.tolist(), strict=True)
    ]
    scores, third, n = rdc_score(y_need, y_acc, q_need, q_acc), 1 / 3, len(train)
    rng = (SeedTree(seed) / "prism-tiny").numpy()
    arms = {
        "all": np.arange(n),
        "random third": np.sort(rng.choice(n, round(n * third), replace=False)),
        "RDC third": top_fraction(scores, third),
        "RDC third by stratum": top_fraction(scores, third, stratify_by=y_acc),
    }
    gate, labels, found = CostGate(*COSTS), _labels(test), dict[str, dict[str, float]]()
    for arm, kept in arms.items():
        policy = tiny_policy(task.character_set, seed, SHAPE)
        settings = WarmStart(epochs=size.epochs * n / len(kept), held_out=0.0)
        history = warm_start(policy, [lessons[at] for at in kept], settings, seed=seed)
        figures = _figures(gate, stated_chances(policy, [str(p.prompt) for p in test]), labels)
        found[arm] = {**figures, "tokens": float(history.tokens), "seconds": history.seconds}
    found["teacher"] = _figures(gate, _teacher(test), labels)
    found["oracle"] = _figures(gate, _true(test), labels)
    return found


@torch.no_grad()
def stated_chances(policy: CausalPolicy, prompts: Sequence[str]) -> Pair:
    """Return [n] and [n] the chances a policy states: the mean of the ten digits it may write in each slot.

    Args:
        policy: writes the schema; its tokens are characters.
        prompts: windows.
    """
    ids = torch.tensor([policy.codec.encode(digit)[0] for digit in DIGITS])
    texts, chances = [f"{prompt}need=" for prompt in prompts], list[np.ndarray]()
    for after in (" accept=", ""):
        head = policy.model.get_output_embeddings()
        assert head is not None
        logits = torch.cat(
            [
                head(policy.last_hidden([policy.codec.encode(text) for text in texts[at : at + 256]]))[:, ids]
                for at in range(0, len(texts), 256)
            ]
        )
        shares = logits.float().softmax(1).double().numpy()
        chances.append(shares @ (np.arange(10) + 0.5) / 10)
        texts = [f"{text}{digit}{after}" for text, digit in zip(texts, shares.argmax(1).tolist(), strict=True)]
    return chances[0], chances[1]


def _teacher(problems: Sequence[Problem]) -> Pair:
    """Return the true chances, but their opposites where the window holds a browse: about 40 % of windows."""
    wrong = np.array([RARE in str(problem.prompt) for problem in problems])
    need, acc = _true(problems)
    return np.where(wrong, 1 - need, need), np.where(wrong, 1 - acc, acc)


def _true(problems: Sequence[Problem]) -> Pair:
    return _column(problems, "p_need"), _column(problems, "p_acc")


def _labels(problems: Sequence[Problem]) -> Pair:
    return _column(problems, "y_need"), _column(problems, "y_acc")


def _column(problems: Sequence[Problem], name: str) -> np.ndarray:
    return np.array([problem.info[name] for problem in problems], dtype=float)


def _figures(gate: CostGate, chances: Pair, labels: Pair) -> dict[str, float]:
    found = fared(gate.decide(*chances), *labels, gate)
    return {"cost": found.cost, "false alarm": found.false_alarm, "recall": found.recall, "offers": found.offers}
