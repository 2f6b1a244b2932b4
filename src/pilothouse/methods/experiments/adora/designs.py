"""The training experiments' settings; warm starts were chosen by starting accuracy and length alone.

Warm starts favour short answers a little, so fewer of the demonstrations answer at once than in the pilot from which
the bars come, for about the same share of long answers at the start.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pilothouse.methods.experiments.arms import Arm
from pilothouse.methods.experiments.toy_trials import ToyTrial
from pilothouse.methods.experiments.toys import WorkedOrDirect
from pilothouse.policies.warm_start import WarmStart

SWITCH = 100  #: step at which the two-stage arm goes on as GRPO


def arm(credit: Any) -> Arm:
    """Return GRPO with another credit, two minibatches a batch: arms differ in the credit alone."""
    return Arm("grpo", {"credit": credit, "training": {"minibatches": 2}})


GRPO, DAMPED, AMPLIFIED = arm("grpo"), arm("adora"), arm("adora-amplify")
#: All advantages halved: reviewers asked whether the effect is one of the step size.
HALVED = arm({"name": "sum", "terms": [{"weight": 0.5, "part": "grpo"}]})

RARE = ToyTrial(
    name="long answers are rare",
    task=WorkedOrDirect(direct_share=0.90, direct_wrong=0.75, worked_wrong=0.40),
    warm=WarmStart(epochs=6, batch_tokens=1024, lr=3e-3, matrix_lr=1e-2, held_out=0.0),
    arms={"GRPO": GRPO, "ADORA, then GRPO": arm({"name": "adora", "end": SWITCH})},
    learning_rate=3e-4,
    measure_at=(0, SWITCH, 300),
    seeds=4,
    samples=16,
)

#: The same start and seeds up to the switch: what explains the effect, and the other rule.
CONTROLS = replace(
    RARE,
    name="controls",
    arms={"GRPO, half advantages": HALVED, "ADORA, amplify": AMPLIFIED},
    measure_at=(0, SWITCH),
)

COMMON = replace(
    RARE,
    name="long answers are common",
    task=WorkedOrDirect(direct_share=0.59, direct_wrong=0.75, worked_wrong=0.45),
    warm=RARE.warm.model_copy(update={"epochs": 3.0}),
    arms={"GRPO": GRPO, "ADORA": DAMPED, "ADORA, amplify": AMPLIFIED},
    measure_at=(0, 20),
    seeds=5,
)
