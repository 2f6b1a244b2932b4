"""The training experiment's settings.

On a seed of their own, the warm start's length was chosen by the starting accuracy alone, and the learning rate by GRPO
alone: with it, GRPO ends at the entropy that it had in the pilot from which the bars come.
"""

from __future__ import annotations

from typing import Any

from pilothouse.methods.experiments.arms import Arm
from pilothouse.methods.experiments.expressions import NoisyExpressions
from pilothouse.methods.experiments.toy_trials import ToyTrial
from pilothouse.policies.warm_start import WarmStart

#: The released code's script for hard questions, as it runs: each block's own quantiles.
RELEASED: dict[str, Any] = {
    "measure": "mvar-normalized",
    "scale": "std",
    "spread": "sum-mean",
    "natural_baseline": False,
    "quantiles": "batch",
}


def arm(**credit: Any) -> Arm:
    """Return RiskPO with GRPO's objective and settings of its own: arms differ in the credit alone."""
    return Arm("grpo", {"credit": {"name": "riskpo", **credit}, "training": {"minibatches": 2}})


ENTROPY = ToyTrial(
    name="entropy",
    task=NoisyExpressions(),
    warm=WarmStart(epochs=3.5, batch_tokens=1024, lr=3e-3, matrix_lr=1e-2, held_out=0.0),
    arms={
        "GRPO": Arm("grpo", {"training": {"minibatches": 2}}),
        "RiskPO": arm(**RELEASED),
        "tracked quantiles": arm(**{**RELEASED, "quantiles": "track"}),
        "uniform spread": arm(**{**RELEASED, "spread": "uniform"}),
        "risk-seeking": arm(**{**RELEASED, "measure": "risk-seeking"}),
    },
    learning_rate=1e-3,
    measure_at=(0, 25, 50, 75, 100, 125, 150),
    seeds=3,
    samples=16,
    prompts=15,
    group=10,
)
