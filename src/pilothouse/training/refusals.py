"""What cannot work together, and why: every combination is refused when the configuration is read, with a way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilothouse.programs.base import Program

if TYPE_CHECKING:
    from pilothouse.training.recipe import PolicyGradient

#: Values that a head on the policy's own network can be asked for: before each token, and after it.
VALUES = frozenset({"values", "values_after"})


def refuse(recipe: PolicyGradient) -> None:
    """Do nothing if the parts of a recipe can work together.

    Args:
        recipe: program, selector, credit, objective, scorer and settings.

    Raises:
        ValueError: they cannot; the message says why and what would.
    """
    for check in (_sizes, _objective, _selection, _values, _window, _labels):
        check(recipe)


def _sizes(recipe: PolicyGradient) -> None:
    if recipe.credit.compares_within_groups() and recipe.program.one_outcome:
        raise ValueError(
            f"credit '{recipe.credit.name}' compares the episodes of a problem, and those of program "
            f"'{recipe.program.name}' make one decision and share its reward: use --credit reinforce-pp, or --credit "
            "gae with --objective 'clipped + 0.5*value'"
        )
    if recipe.credit.compares_within_groups() and recipe.program.group_size == 1:
        raise ValueError(
            f"credit '{recipe.credit.name}' compares the episodes of a group, and a group size of 1 leaves nothing "
            "to compare: use --group 2 or more, or --credit reinforce-pp"
        )
    if recipe.training.prompts < recipe.credit.problems_needed():
        raise ValueError(
            f"credit '{recipe.credit.name}' needs {recipe.credit.problems_needed()} prompts a step and "
            f"training.prompts is {recipe.training.prompts}: raise --prompts"
        )
    if recipe.training.refill > 1 and not recipe.select.may_drop_groups():
        raise ValueError(
            f"training.refill = {recipe.training.refill} refills groups that a selector silenced, but selector "
            f"'{recipe.select.name}' silences none: use --select zero-variance or --training.refill 1"
        )


def _objective(recipe: PolicyGradient) -> None:
    name = recipe.objective.name
    if recipe.objective.wants_pairs():
        raise ValueError(
            f"objective '{name}' reads pairs of a chosen and a rejected response, and rollouts do not come in "
            "pairs: use --objective clipped, or call it from Python on a Batch of pairs"
        )
    if not recipe.objective.learns_from_credit():
        raise ValueError(
            f"objective '{name}' does not read the credit, so that rewards would teach nothing: add it to one that "
            "does, as in --objective 'clipped + 0.01*entropy', or use --objective weighted-sft to imitate"
        )


def _values(recipe: PolicyGradient) -> None:
    learnt, taught = recipe.objective.requirements() & VALUES, recipe.credit.teaches_values()
    if recipe.program.needs_scorer() and recipe.scorer.of_policy and not learnt:
        raise ValueError(
            f"program '{recipe.program.name}' asks the policy's value head, which nothing trains: "
            "use --objective 'clipped + 0.5*value' with --credit gae, or another --scorer"
        )
    if recipe.critic.network == "separate":
        _critic(recipe, learnt)
        return
    if recipe.critic != type(recipe.critic)():
        raise ValueError(
            "the settings of critic are those of a network of its own, and the values here are the policy's: add "
            "--critic.network separate, or drop them"
        )
    if learnt and not taught:
        teacher = "imitation" if learnt == {"values_after"} else "gae"
        raise ValueError(
            f"the objective trains a value head but no credit uses one: use --credit {teacher}, or drop the value loss"
        )
    if learnt and learnt != {taught}:
        raise ValueError(
            f"the objective and credit '{recipe.credit.name}' mean the values of different states: 'value' goes with "
            "--credit gae (the state before each token), 'step-value' with --credit imitation (the state after it)"
        )
    if "values" in recipe.credit.requirements() and "values" not in recipe.objective.requirements():
        raise ValueError(
            f"credit '{recipe.credit.name}' reads a value head that nothing trains: "
            "use --objective 'clipped + 0.5*value', or --critic.network separate"
        )
    if "values_after" in learnt and not recipe.program.values_steps:
        programs = Program.catalogue.classes().items()
        makers = [name for name, kind in programs if getattr(kind, "values_steps", False)]
        raise ValueError(
            f"the objective teaches what a search found each step to be worth, and program '{recipe.program.name}' "
            f"finds nothing of the kind: use --program {' or '.join(makers)}, or drop the step-value loss"
        )


def _critic(recipe: PolicyGradient, learnt: frozenset[str]) -> None:
    if "values" not in recipe.credit.requirements():
        raise ValueError(
            f"credit '{recipe.credit.name}' reads no values, so that a separate value network would be for nothing: "
            "use --credit gae, or --critic.network shared"
        )
    if learnt:
        raise ValueError(
            "the objective trains a value head on the policy's network, and the values come from a separate one "
            "with a loss of its own: use --objective clipped, or --critic.network shared"
        )
    if recipe.value_head.dropout:
        raise ValueError(
            "value_head.dropout is of a head that shares the policy's network: set --value_head.dropout 0, or "
            "--critic.network shared"
        )
    if recipe.training.restart:
        raise ValueError(
            "training.restart goes back to the first weights of the policy at every step and would leave a "
            "separate value network where it is: drop one of the two"
        )


def _window(recipe: PolicyGradient) -> None:
    if not recipe.training.window:
        return
    if recipe.program.settles() != "token":
        raise ValueError(
            f"training.window cuts plain responses, and program '{recipe.program.name}' makes its own out of several "
            "requests: use --program group, or --training.window 0"
        )
    if not recipe.credit.takes_unfinished():
        raise ValueError(
            f"credit '{recipe.credit.name}' needs the reward of a response, which one that training.window cut has "
            "not yet: use --credit gae with --critic.network separate, or --training.window 0"
        )
    if recipe.critic.network == "shared":
        raise ValueError(
            "training.window trains the policy on what was drawn and the values on responses that have ended, "
            "which are no longer the same tokens: use --critic.network separate with --objective clipped"
        )
    if not recipe.select.takes_unfinished():
        raise ValueError(
            f"selector '{recipe.select.name}' compares responses by how they ended, which those that training.window "
            "cut have not: use --select everything, or --training.window 0"
        )
    if not recipe.objective.takes_unfinished():
        raise ValueError(
            f"objective '{recipe.objective.name}' takes the likelihood ratio of whole responses, and training.window "
            "trains on pieces of them: use --objective.ratio token, or --training.window 0"
        )


def _labels(recipe: PolicyGradient) -> None:
    unlabelled = recipe.credit.labels_read() - recipe.program.labels
    if unlabelled:
        programs = Program.catalogue.classes().items()
        makers = [name for name, kind in programs if unlabelled <= getattr(kind, "labels", frozenset[str]())]
        raise ValueError(
            f"credit '{recipe.credit.name}' reads the {' and the '.join(sorted(unlabelled))} of responses from the "
            f"labels of their segments, which program '{recipe.program.name}' does not make: use --program "
            f"{' or '.join(makers)}, or a credit that does without, such as --credit dr-grpo"
        )


def _selection(recipe: PolicyGradient) -> None:
    if reason := recipe.select.refuses(recipe.program.group_size):
        raise ValueError(reason)
    if recipe.select.wants_differences() and recipe.program.one_outcome:
        raise ValueError(
            f"selector '{recipe.select.name}' silences problems whose rewards are all equal, and the episodes of "
            f"program '{recipe.program.name}' make one decision and share its reward: use --select everything"
        )
    if recipe.select.may_draw_ahead() and not recipe.select.may_drop_groups():
        raise ValueError(
            f"selector '{recipe.select.name}' draws prompts ahead to make up for silenced groups, but nothing "
            "silences any: use --select 'zero-variance + predictive-sampling'"
        )
    if recipe.select.may_draw_ahead() and recipe.training.refill > 1:
        raise ValueError(
            f"selector '{recipe.select.name}' draws enough prompts at once and training.refill = "
            f"{recipe.training.refill} would draw again: keep --training.refill 1, or drop predictive-sampling"
        )
    if "budgets" in recipe.credit.requirements() and not recipe.program.announces_budgets:
        raise ValueError(
            f"credit '{recipe.credit.name}' compares subgroups with different announced budgets, and program "
            f"'{recipe.program.name}' announces none: use --program budgeted-group, or --credit budget-reward"
        )
