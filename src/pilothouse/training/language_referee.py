"""How runs that train a language policy are compared: held-out accuracy, at equal tokens computed in sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from pilothouse.reports.outcomes import Measured, Metric
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.training.config import TINY, RunConfig
from pilothouse.training.prepare import prepare_policy

ACCURACY = Metric("accuracy", share=True)
#: A budget ends a run; this only keeps it from going on for ever.
MOST_STEPS = 100_000
_SHOWN = 3  # responses of the last step


class LanguageReferee:
    """Compares runs that train language policies."""

    def allowance(self, budget: str) -> dict[str, Any]:
        """Return the settings of a budget in tokens."""
        return {"budget": budget, "steps": MOST_STEPS}

    def spends(self, config: RunConfig) -> str:
        """Return in words what a run may spend."""
        settings = config.training
        if settings.budget:
            return f"{settings.token_budget:,} tokens computed in sampling"
        return f"{settings.steps:,} steps"

    def pace(self, config: RunConfig) -> int:
        """Return after how many steps a run is measured again: a budget does not say how many there will be."""
        return 10

    def metric(self, config: RunConfig) -> Metric:
        """Return held-out accuracy."""
        return ACCURACY

    def ready(self, config: RunConfig, progress: Progress) -> None:
        """Make the tiny policy, so that no two processes make the same one."""
        if config.policy.model == TINY:
            prepare_policy(config.policy, config.task, config.seed, progress)

    def measured(self, store: RunStore) -> Measured:
        """Return accuracy of sampled answers after training, and the tokens they took."""
        result = store.read_result()
        after, cost = result["after"]["sampled"], result["cost"]
        curve = [(0.0, _number(result["before"]["sampled"]["accuracy"]))]
        curve += [(row["tokens_computed"], _number(row["held_out"])) for row in store.metrics() if "held_out" in row]
        curve.append((cost["tokens_computed"], _number(after["accuracy"])))
        return Measured(
            figures={
                ACCURACY: _number(after["accuracy"]),
                Metric("greedy", share=True): _number(result["after"]["greedy"]["accuracy"]),
                Metric("solved", share=True): _number(after["solved"]),
                Metric("length"): _number(after["length"]),
                Metric("entropy"): _number(after["entropy"]),
            },
            costs={
                Metric("tokens computed"): cost["tokens_computed"],
                Metric("steps"): result["steps"],
                Metric("seconds"): cost["seconds"],
            },
            curve=curve,
            note="Held-out answers sampled after training; tokens that sampling computed and seconds, of training.",
            samples=[_response(row) for row in islice(store.rollouts(result["steps"]), _SHOWN)],
        )


def _number(value: float | None) -> float:
    """JSON has no NaN: a figure that was none is null there."""
    return math.nan if value is None else value


def _response(row: Mapping[str, Any]) -> str:
    return f"{row.get('prompt', '')}{row.get('response', '')}\n    reward {row.get('reward')}\n"
