"""The training experiment's settings; the length of the warm start was chosen by the starting accuracy alone."""

from __future__ import annotations

from typing import Any

from pilothouse.methods.experiments.expressions import NoisyExpressions
from pilothouse.methods.experiments.lite_ppo.runs import Arm, Design
from pilothouse.policies.warm_start import WarmStart

#: The released code's script for hard questions, with quantiles that are really tracked.
HARD_SCRIPT: dict[str, Any] = {
    "measure": "mvar-normalized",
    "scale": "std",
    "spread": "sum-mean",
    "natural_baseline": False,
}


def arm(**credit: Any) -> Arm:
    """Return RiskPO with GRPO's objective and settings of its own: arms differ in the credit alone."""
    return Arm("grpo", {"credit": {"name": "riskpo", **credit}, "training": {"minibatches": 2}})


ENTROPY = Design(
    name="entropy",
    task=NoisyExpressions(),
    warm=WarmStart(epochs=3.5, batch_tokens=1024, lr=3e-3, matrix_lr=1e-2, held_out=0.0),
    arms={
        "GRPO": Arm("grpo", {"training": {"minibatches": 2}}),
        "RiskPO, sum-mean": arm(**HARD_SCRIPT),
        "RiskPO, uniform": arm(**{**HARD_SCRIPT, "spread": "uniform"}),
        "risk-seeking": arm(**{**HARD_SCRIPT, "measure": "risk-seeking"}),
    },
    learning_rate=5e-4,
    measure_at=(0, 25, 50, 75, 100, 125, 150),
    seeds=3,
    samples=16,
    prompts=15,
    group=10,
)
