"""The training experiment's settings: start and learning rate as in RiskPO's on the same task."""

from __future__ import annotations

from typing import Any

from pilothouse.methods.experiments.arms import Arm
from pilothouse.methods.experiments.expressions import NoisyExpressions
from pilothouse.methods.experiments.toy_trials import ToyTrial
from pilothouse.policies.warm_start import WarmStart

#: The loss that ProGRPO and its matched baseline share, two minibatches a batch.
CLIP_HIGHER: dict[str, Any] = {
    "objective": {"eps_high": 0.28, "aggregation": "token-mean"},
    "training": {"minibatches": 2},
}


def shifted(**credit: Any) -> Arm:
    """Return the matched baseline with ProGRPO's credit around GRPO's: nothing else differs."""
    return Arm("grpo", {**CLIP_HIGHER, "credit": {"name": "progrpo", "of": {"name": "grpo"}, **credit}})


BONUS = {**CLIP_HIGHER["objective"], "name": "clipped"}

DIVERSITY = ToyTrial(
    name="diversity",
    task=NoisyExpressions(),
    warm=WarmStart(epochs=3.5, batch_tokens=1024, lr=3e-3, matrix_lr=1e-2, held_out=0.0),
    arms={
        "GRPO": Arm("grpo", {"training": {"minibatches": 2}}),
        "clip-higher": Arm("grpo", CLIP_HIGHER),
        "ProGRPO": shifted(),
        "skip all-correct": shifted(skip_all_correct=True),
        "entropy bonus": Arm(
            "grpo",
            {
                **CLIP_HIGHER,
                "objective": {
                    "name": "sum",
                    "terms": [{"weight": 1.0, "part": BONUS}, {"weight": 0.01, "part": {"name": "entropy"}}],
                },
            },
        ),
    },
    learning_rate=1e-3,
    measure_at=(0, 50, 100, 150),
    seeds=3,
    samples=16,
)
