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
from pilothouse.training.refusals import VALUES, refuse

Positive = Annotated[int, Field(ge=1)]


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
        window: most tokens a response grows by in one step; those that have not ended by then train the policy as far
            as they got and are continued at the next step, while those that have ended make room for new ones. 0
            waits for every response to end.
        window_trains: of a response that grew over several steps, train the policy on the tokens of this "window", or
            again on the whole "response" so far, against the log-probabilities that its earlier tokens were drawn at.
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
    window: Annotated[int, Field(ge=0)] = 0
    window_trains: Literal["window", "response"] = "window"
    eval_problems: Positive = 256
    eval_samples: Positive = 1
    record: Literal["text", "tokens"] = "tokens"

    @property
    def token_budget(self) -> int:
        """Tokens that sampling may compute; 0 if there is no such limit."""
        return Budget.parse(self.budget, "tokens").amount if self.budget else 0

    @model_validator(mode="after")
    def _budget_is_in_tokens(self) -> Self:
        try:
            _ = self.token_budget
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if self.budget and self.schedule != "constant":
            raise ValueError(
                f"the learning rate is to fall over {self.steps} steps and a budget of {self.budget} may end the run "
                "before: use --training.schedule constant, or drop the budget"
            )
        return self


class CriticSettings(Settings):
    """Where the values that a credit reads come from, and how they are learnt.

    Args:
        network: "shared" puts a value head on the policy's own network, which a term of the objective trains;
            "separate" makes a second network that begins with the policy's weights. All else is about the latter.
        learning_rate: peak learning rate of its optimiser, whose other settings are the policy's; 0 takes twice the
            policy's.
        epochs: passes over the responses that ended at a step.
        minibatches: optimiser steps per pass.
        eps: how far a value may move in one step before its gradient stops; 0 for no limit.
        warmup: batches of whole responses of the starting policy to learn from before the first step.
    """

    network: Literal["shared", "separate"] = "shared"
    learning_rate: Annotated[float, Field(ge=0)] = 0.0
    epochs: Positive = 1
    minibatches: Positive = 1
    eps: Annotated[float, Field(ge=0)] = 0.0
    warmup: Annotated[int, Field(ge=0)] = 0


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
        value_head: what the value head does besides its linear map, if the method has one.
        critic: where values come from.
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
    critic: CriticSettings = CriticSettings()
    training: TrainingSettings = TrainingSettings()

    @property
    def head(self) -> HeadSettings | None:
        """The value head that the policy needs; ``None`` if it needs none."""
        needed = self.policy_needs & VALUES or (self.program.needs_scorer() and self.scorer.of_policy)
        return self.value_head if needed else None

    @property
    def needs(self) -> frozenset[str]:
        """What must be computed besides the policy's own log-probabilities."""
        return self.select.requirements() | self.credit.requirements() | self.objective.requirements()

    @property
    def policy_needs(self) -> frozenset[str]:
        """What of that the policy's own network must compute."""
        return self.needs - ({"values", "final_values"} if self.critic.network == "separate" else {"final_values"})

    @property
    def single_update(self) -> bool:
        """Whether each batch of rollouts is used for exactly one optimiser step, so that the ratio is exactly 1."""
        once = self.training.epochs == 1 and self.training.minibatches == 1
        return once and not self.training.restart

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        refuse(self)
        return self
