"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.measured import POINTS, claim, mean, over, points
from pilothouse.methods.experiments.treepo.stopper import Economy
from pilothouse.methods.experiments.treepo.training import Rows, at_step, at_tokens

_TREE, _GROUP = "TreePO", "GRPO"


def stopper_claims(found: Sequence[Economy]) -> tuple[Claim, ...]:
    """Return the claims on a memoryless stopper, w=16, l=16, d=8.

    Args:
        found: one a repetition.
    """
    last = found[-1]
    note = f"mean length {last.tree_length:.1f} tokens in trees, {last.group_length:.1f} of independent responses"
    rows = (
        ("tokens decoded by trees, as a share of those of independent responses", 0.85, [e.ratio for e in found]),
        ("tokens decoded by trees, as a share of those in their responses", 0.70, [e.shared for e in found]),
    )
    return tuple(
        claim(
            f"{what} (memoryless stopper)", f"at most {bar}", over(values), over(values).estimate <= bar, "share", note
        )
        for what, bar, values in rows
    )


def economy_claims(found: Sequence[Mapping[str, Mapping[str, float]]], variant: str) -> tuple[Claim, ...]:
    """Return the claims on a network: what a response costs, and what as much variety costs.

    Args:
        found: by variant, its figures; one such table a policy.
        variant: the tree that is judged.
    """
    tree, alone = [run[variant] for run in found], [run["independent"] for run in found]
    ratio = over([run["computed_ratio"] for run in tree])
    variety = over([a["distinct"] / b["distinct"] for a, b in zip(tree, alone, strict=True)])
    answers = over([a["answers"] / b["answers"] for a, b in zip(tree, alone, strict=True)])
    cost = over([run["cost_at_equal_distinct"] for run in tree])
    effective = mean([run["effective"] for run in tree]), mean([run["effective"] for run in alone])
    lengths = mean([run["length"] for run in tree]), mean([run["length"] for run in alone])
    found_answers = f"distinct answers {answers.estimate:.2f} of the independent ones"
    worth = f"worth {effective[0]:.1f} independent responses ({effective[1]:.1f} for independent ones)"
    return (
        claim(
            "tokens computed for a response of a tree, as a share of those of independent groups of the same size",
            "at most 0.80",
            ratio,
            ratio.estimate <= 0.80,
            "share",
            f"mean length {lengths[0]:.1f} tokens, of independent responses {lengths[1]:.1f}",
        ),
        claim(
            "distinct finished responses of a tree, as a share of those of independent groups of the same size",
            "at least 0.95: equal diversity",
            variety,
            variety.estimate >= 0.95,
            "share",
            f"{found_answers}; {worth}",
        ),
        claim(
            "tokens computed by a tree, as a share of those of the independent group with as many distinct responses",
            "at most 0.80",
            cost,
            cost.estimate <= 0.80,
            "share",
            f"at as many distinct answers {mean([run['cost_at_equal_answers'] for run in tree]):.2f}",
        ),
    )


def training_claims(found: Mapping[str, Sequence[Rows]], step: int) -> tuple[Claim, ...]:
    """Return the claims on training: cheaper at equal responses, no worse, and no worse at equal tokens.

    Args:
        found: by arm, the rows of each seed.
        step: updates at which responses are equal.
    """
    ends = {arm: [at_step(rows, step) for rows in runs] for arm, runs in found.items()}
    tree, group = ends[_TREE], ends[_GROUP]
    cost = over([a["tokens"] / b["tokens"] for a, b in zip(tree, group, strict=True)])
    gap = points([row["greedy"] for row in tree], [row["greedy"] for row in group])
    late = [at_tokens(rows, b["tokens"]) for rows, b in zip(found[_TREE], group, strict=True)]
    even = points([row["greedy"] for row in late], [row["greedy"] for row in group])
    start = mean([at_step(rows, 0)["sampled"] for rows in found[_GROUP]])
    figures = ", ".join(f"{arm} {mean([row['greedy'] for row in rows]):.1%}" for arm, rows in ends.items())
    sampled = ", ".join(f"{arm} {mean([row['sampled'] for row in rows]):.1%}" for arm, rows in ends.items())
    return (
        claim(
            f"tokens decoded by TreePO in {step} updates, as a share of GRPO's, equal responses",
            "at most 0.85",
            cost,
            cost.estimate <= 0.85,
            "share",
        ),
        claim(
            f"held-out greedy accuracy of TreePO above GRPO after {step} updates of as many responses",
            "mean over seeds at least -2 points",
            gap,
            gap.estimate >= -2.0,
            POINTS,
            f"greedy: {figures}; sampled: {sampled}; sampled at the start {start:.1%}",
        ),
        claim(
            "held-out greedy accuracy of TreePO above GRPO once as many tokens were decoded",
            "mean over seeds at least 0 points",
            even,
            even.estimate >= 0.0,
            POINTS,
            f"TreePO after {mean([row['step'] for row in late]):.0f} updates",
        ),
    )
