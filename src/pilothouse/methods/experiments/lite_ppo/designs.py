"""The toy experiments' settings: those of the claims; warm starts were chosen by the starting accuracy alone."""

from __future__ import annotations

from pilothouse.methods.experiments.arms import Arm
from pilothouse.methods.experiments.toy_trials import ToyTrial
from pilothouse.methods.experiments.toys import Expressions, WorkedOrDirect
from pilothouse.policies.warm_start import WarmStart


def _warm(epochs: float) -> WarmStart:
    """A warm start spelt out, so that the starting policies do not move when the library's defaults do."""
    return WarmStart(epochs=epochs, batch_tokens=1024, lr=3e-3, matrix_lr=1e-2, held_out=0.0)


GRPO, LITE = Arm("grpo"), Arm("lite-ppo")

EASY = ToyTrial(
    name="easy data",
    task=Expressions(),
    warm=_warm(80),
    arms={"GRPO": GRPO, "Lite PPO": LITE, "no std": Arm("lite-ppo", {"credit": {"std": "none"}})},
    learning_rate=5e-4,
    measure_at=(0, 150),
    seeds=3,
    samples=16,
    noise=0.05,
)

LENGTH = ToyTrial(
    name="length",
    task=WorkedOrDirect(),
    warm=_warm(3),
    arms={
        "GRPO": GRPO,
        "Lite PPO": LITE,
        "group std, token mean": Arm("grpo", {"objective": {"aggregation": "token-mean"}}),
        "mixed, sequence mean": Arm("lite-ppo", {"objective": {"aggregation": "sequence-mean"}}),
    },
    learning_rate=3e-4,
    measure_at=(0, 20),
    seeds=4,
    samples=16,
)

PRESETS = ToyTrial(
    name="presets",
    task=Expressions(),
    warm=_warm(20),
    arms={
        "GRPO": GRPO,
        "Lite PPO": LITE,
        "REINFORCE++": Arm("lite-ppo", {"credit": "reinforce-pp"}),
        "raw reward": Arm("lite-ppo", {"credit": {"mean": "none", "std": "none"}}),
    },
    learning_rate=5e-4,
    measure_at=(0, 150),
    seeds=4,
    samples=16,
)
