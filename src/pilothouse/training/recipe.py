"""What a policy-gradient method is made of, as data: four parts and the settings of the optimiser."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pilothouse.core.budgets import Budget
from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import LISTED, SLOT, Settings
from pilothouse.credit.base import Credit, Everything, Select
from pilothouse.credit.grpo import GRPO
from pilothouse.objectives.base import Objective
from pilothouse.objectives.clipped import Clipped
from pilothouse.policies.heads import HeadSettings
from pilothouse.programs.base import Program
from pilothouse.programs.group import Group
from pilothouse.tasks.scorer import ExactSteps, Scorer

Positive = Annotated[int, Field(ge=1)]
_VALUES = {"values", "values_after"}


class LoopSettings(Settings):
    """How long and how fast anything trains.

    Args:
        steps: steps to take.
        learning_rate: peak learning rate; 0 chooses one, where the method can.
        schedule: learning rate over steps, after the warm-up.
        warmup_steps: steps of linear warm-up.
        weight_decay: AdamW's decoupled weight decay.
        betas: AdamW's moment decay rates.
        max_grad_norm: gradient norm limit; 0 leaves gradients as they are.
        eval_every: steps between evaluations; 0 evaluates at the ends only.
        checkpoint_every: steps between checkpoints; 0 writes the last one only.
        keep_checkpoints: how many of the newest to keep.
    """

    steps: Positive = 100
    learning_rate: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    betas: Annotated[tuple[float, float], LISTED] = (0.9, 0.95)
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    eval_every: Annotated[int, Field(ge=0)] = 0
    checkpoint_every: Annotated[int, Field(ge=0)] = 10
    keep_checkpoints: Positive = 2


class TrainingSettings(LoopSettings):
    """How the update is computed. Prompts per step and the program's group size are given, all else follows.

    Args:
        prompts: problems attempted at each step (P); episodes at a step are P x G.
        budget: stop after the step in which sampling has computed this many tokens in all, such as "200k-tokens";
            ``steps`` is then the most there can be. Empty sets no such limit.
        epochs: passes over each batch of rollouts.
        minibatches: optimiser steps per pass.
        micro_tokens: padded tokens in one forward pass; changes speed and memory, never the result.
        chunk_tokens: tokens whose logits are in memory at a time; 0 takes what fits 64 MiB.
        gradient_checkpointing: recompute the network's activations in the backward pass to save memory.
        restart: begin every step's update at the weights the run began with and with a fresh optimiser, instead of
            where the step before left them: self-training in rounds, of which only the rollouts know the one before.
        refill: when a selector silences groups, draw up to this many times more prompts to fill the batch (DAPO's
            dynamic sampling); 1 draws none.
        eval_problems: held-out problems of each evaluation.
        eval_samples: samples at each of them; more make the interval narrower.
        record: what ``rollouts.jsonl`` holds of an episode: its text, or its tokens and log-probabilities too.
    """

    prompts: Positive = 64
    budget: str = ""
    epochs: Positive = 1
    minibatches: Positive = 1
    micro_tokens: Positive = 4096
    chunk_tokens: Annotated[int, Field(ge=0)] = 0
    gradient_checkpointing: bool = False
    restart: bool = False
    refill: Positive = 1
    eval_problems: Positive = 256
    eval_samples: Positive = 1
    record: Literal["text", "tokens"] = "tokens"

    @property
    def token_budget(self) -> int:
        """Tokens that sampling may compute; 0 if there is no such limit."""
        return Budget.parse(self.budget).amount if self.budget else 0

    @model_validator(mode="after")
    def _budget_is_in_tokens(self) -> Self:
        try:
            unit = Budget.parse(self.budget).unit if self.budget else "tokens"
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if unit != "tokens":
            raise ValueError(f"a training budget is counted in tokens, not '{self.budget}': write it like 200k-tokens")
        if self.budget and self.schedule != "constant":
            raise ValueError(
                f"the learning rate is to fall over {self.steps} steps and a budget of {self.budget} may end the run "
                "before: use --training.schedule constant, or drop the budget"
            )
        return self


class Recipe(Settings):
    """What a method is made of, as data; each wing of the library that trains something has a kind of its own."""


class PolicyGradient(Recipe):
    """A method that learns from sampled episodes: program, selector, credit, objective.

    Args:
        program: how each problem is attempted.
        select: which episodes and tokens train.
        credit: what each token's weight is.
        objective: the loss.
        scorer: judges partial responses, for programs that search with a process reward.
        value_head: what the policy's value head does besides its linear map, if the method has one.
        training: the optimiser's settings.

    Raises:
        ConfigError: the parts cannot work together; the message says why and what would.
    """

    program: Annotated[Program, SLOT] = Group()
    select: Annotated[Select, SLOT] = Everything()
    credit: Annotated[Credit, SLOT] = GRPO()
    objective: Annotated[Objective, SLOT] = Clipped()
    scorer: Annotated[Scorer, SLOT] = ExactSteps()
    value_head: HeadSettings = HeadSettings()
    training: TrainingSettings = TrainingSettings()

    @property
    def head(self) -> HeadSettings | None:
        """The value head that the policy needs; ``None`` if it needs none."""
        needed = self.needs & _VALUES or (self.program.needs_scorer() and self.scorer.of_policy)
        return self.value_head if needed else None

    @property
    def needs(self) -> frozenset[str]:
        """What must be computed besides the policy's own log-probabilities."""
        return self.select.requirements() | self.credit.requirements() | self.objective.requirements()

    @property
    def single_update(self) -> bool:
        """Whether each batch of rollouts is used for exactly one optimiser step, so that the ratio is exactly 1."""
        once = self.training.epochs == 1 and self.training.minibatches == 1
        return once and not self.training.restart

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.credit.compares_within_groups() and self.program.group_size == 1:
            raise ValueError(
                f"credit '{self.credit.name}' compares the episodes of a group, and a group size of 1 leaves nothing "
                "to compare: use --group 2 or more, or --credit reinforce-pp"
            )
        if self.training.prompts < self.credit.problems_needed():
            raise ValueError(
                f"credit '{self.credit.name}' needs {self.credit.problems_needed()} prompts a step and "
                f"training.prompts is {self.training.prompts}: raise --prompts"
            )
        if self.training.refill > 1 and not self.select.may_drop_groups():
            raise ValueError(
                f"training.refill = {self.training.refill} refills groups that a selector silenced, but selector "
                f"'{self.select.name}' silences none: use --select zero-variance or --training.refill 1"
            )
        self._objective_fits()
        self._values_fit()
        self._selection_fits()
        return self

    def _objective_fits(self) -> None:
        name = self.objective.name
        if self.objective.wants_pairs():
            raise ValueError(
                f"objective '{name}' reads pairs of a chosen and a rejected response, and rollouts do not come in "
                "pairs: use --objective clipped, or call it from Python on a Batch of pairs"
            )
        if not self.objective.learns_from_credit():
            raise ValueError(
                f"objective '{name}' does not read the credit, so that rewards would teach nothing: add it to one that "
                "does, as in --objective 'clipped + 0.01*entropy', or use --objective weighted-sft to imitate"
            )

    def _values_fit(self) -> None:
        learnt, taught = self.objective.requirements() & _VALUES, self.credit.teaches_values()
        if learnt and not taught:
            teacher = "imitation" if learnt == {"values_after"} else "gae"
            raise ValueError(
                "the objective trains a value head but no credit uses one: "
                f"use --credit {teacher}, or drop the value loss"
            )
        if learnt and learnt != {taught}:
            raise ValueError(
                f"the objective and credit '{self.credit.name}' mean the values of different states: 'value' goes with "
                "--credit gae (the state before each token), 'step-value' with --credit imitation (the state after it)"
            )
        if "values" in self.credit.requirements() and "values" not in self.objective.requirements():
            raise ValueError(
                f"credit '{self.credit.name}' reads a value head that nothing trains: "
                "use --objective 'clipped + 0.5*value'"
            )
        if self.program.needs_scorer() and self.scorer.of_policy and not learnt:
            raise ValueError(
                f"program '{self.program.name}' asks the policy's value head, which nothing trains: "
                "use --objective 'clipped + 0.5*value' with --credit gae, or another --scorer"
            )
        if "values_after" in learnt and not self.program.values_steps:
            programs = Program.catalogue.classes().items()
            makers = [name for name, kind in programs if getattr(kind, "values_steps", False)]
            raise ValueError(
                f"the objective teaches what a search found each step to be worth, and program '{self.program.name}' "
                f"finds nothing of the kind: use --program {' or '.join(makers)}, or drop the step-value loss"
            )

    @model_validator(mode="after")
    def _labels_fit(self) -> Self:
        unlabelled = self.credit.labels_read() - self.program.labels
        if unlabelled:
            programs = Program.catalogue.classes().items()
            makers = [name for name, kind in programs if unlabelled <= getattr(kind, "labels", frozenset[str]())]
            raise ValueError(
                f"credit '{self.credit.name}' reads the {' and the '.join(sorted(unlabelled))} of responses from the "
                f"labels of their segments, which program '{self.program.name}' does not make: use --program "
                f"{' or '.join(makers)}, or a credit that does without, such as --credit dr-grpo"
            )
        return self

    def _selection_fits(self) -> None:
        if reason := self.select.refuses(self.program.group_size):
            raise ValueError(reason)
        if self.select.may_draw_ahead() and not self.select.may_drop_groups():
            raise ValueError(
                f"selector '{self.select.name}' draws prompts ahead to make up for silenced groups, but nothing "
                "silences any: use --select 'zero-variance + predictive-sampling'"
            )
        if self.select.may_draw_ahead() and self.training.refill > 1:
            raise ValueError(
                f"selector '{self.select.name}' draws enough prompts at once and training.refill = "
                f"{self.training.refill} would draw again: keep --training.refill 1, or drop predictive-sampling"
            )
        if "budgets" in self.credit.requirements() and not self.program.announces_budgets:
            raise ValueError(
                f"credit '{self.credit.name}' compares subgroups with different announced budgets, and program "
                f"'{self.program.name}' announces none: use --program budgeted-group, or --credit budget-reward"
            )
