"""RiskPO's credit: a risk measure of the joint score of several prompts, the lower tail weighing most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.base import Credit
from pilothouse.credit.bundles import SMALLEST_STD, Spread, bundles, spread
from pilothouse.credit.diagnostics import logprob_covariance
from pilothouse.credit.normalize import moments
from pilothouse.credit.quantiles import QuantileTracker
from pilothouse.credit.risk import Measure, risk_advantage, risk_value, tail_weights


class RiskPO(Credit):
    """``A = -(1 + omega) (q_alpha - S)^+ + clip(S, q_alpha, q_beta) - q_beta`` of a bundle's score S.

    A bundle is one response to each of ``bundle_size`` prompts and S the sum of their rewards (Ren et al. 2025, arXiv
    2510.00911). Quantiles tracked over steps are those from before the batch; they and the shuffles' count are part of
    the checkpoint, so call it once a step. The defaults are the paper's. The released code's scripts are
    ``measure="mvar-normalized"``, ``scale="std"`` and, for hard questions, ``spread="sum-mean"`` with
    ``natural_baseline=False``; in effect it takes ``quantiles="batch"``.

    Args:
        measure: the risk measure.
        alpha: level of the lower quantile.
        beta: level of the upper one: nothing above it counts in a risk-averse measure.
        omega: additional weight of the lower tail.
        bundle_size: prompts a bundle (B); 1 for graded rewards that have quantiles of their own.
        permute: shuffle the responses of a prompt over its block's bundles.
        drop_last: leave out the last prompts when the bundle size does not divide them, instead of making smaller
            bundles, whose quantiles are scaled by their size.
        natural_baseline: leave the measure's own baseline in, so that no advantage is positive.
        quantiles: "track" over steps, take each block's own with "batch", or "mix" both half and half.
        quantile_lr: step of the tracker, in units of a bundle's score.
        scale: "std" divides by the sample std of the block's scores.
        spread: how a bundle's advantage falls to its responses.
        max_ratio: bound of "sum-mean".
        seed: root of the shuffles' seed tree.

    Raises:
        ConfigError: not ``0 < alpha < beta < 1``, or "sum-mean" with the natural baseline.
    """

    name: ClassVar[str] = "riskpo"
    measure: Measure = "mvar"
    alpha: float = 0.2
    beta: float = 0.8
    omega: Annotated[float, Field(ge=0)] = 0.5
    bundle_size: Annotated[int, Field(ge=1)] = 5
    permute: bool = True
    drop_last: bool = False
    natural_baseline: bool = True
    quantiles: Literal["track", "batch", "mix"] = "track"
    quantile_lr: Annotated[float, Field(gt=0)] = 0.1
    scale: Literal["none", "std"] = "none"
    spread: Spread = "uniform"
    max_ratio: Annotated[float, Field(gt=0)] = 5.0
    seed: Annotated[int, Field(ge=0)] = 0
    _tracked: tuple[float, ...] = PrivateAttr(default=())
    _batches: int = PrivateAttr(default=0)
    _figures: dict[str, float] = PrivateAttr(default_factory=dict[str, float])

    @model_validator(mode="after")
    def _sensible(self) -> RiskPO:
        if not 0 < self.alpha < self.beta < 1:
            raise ValueError(f"riskpo needs 0 < alpha < beta < 1, not alpha = {self.alpha} and beta = {self.beta}")
        if self.spread == "sum-mean" and self.natural_baseline:
            raise ValueError(
                "spread 'sum-mean' with the natural baseline would punish the right responses of every bundle above "
                "the mean, whose advantage is negative: set natural_baseline to false"
            )
        return self

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return each response's share of its bundle's advantage; 0 for responses that no bundle has room for."""
        counted = rollouts.stats_mask & rollouts.rewards.isfinite()
        rewards = torch.where(counted, rollouts.rewards, 0.0).double()
        generator = (SeedTree(self.seed) / "bundles" / self._batches).torch() if self.permute else None
        self._batches += 1
        blocks = bundles(rollouts.groups, counted, self.bundle_size, generator, self.drop_last)
        advantage, self._figures = torch.zeros_like(rewards), {}
        if blocks:
            group = moments(rewards, rollouts.groups, counted)
            scores = [rewards[rows].sum(dim=0) for rows in blocks]
            for rows, score, (low, high) in zip(blocks, scores, self._quantiles(blocks, scores), strict=True):
                whole = self._advantage(score, low, high)
                mean, std = group.mean[rows[:, :1]], group.std[rows[:, :1]]
                advantage[rows] = spread(whole, rewards[rows], self.spread, mean, std, self.max_ratio)
        weights = advantage.to(rollouts.rewards.dtype)[:, None] * rollouts.train_mask
        if blocks:
            used = sum(rows.numel() for rows in blocks)
            self._figures |= {
                "risk/unused": 1 - used / len(rollouts),
                "risk/logprob_covariance": logprob_covariance(rollouts, weights),
            }
        return weights

    def _advantage(self, score: Float[Tensor, " G"], low: float, high: float) -> Float[Tensor, " G"]:
        weights = tail_weights(self.measure, self.alpha, self.beta, self.omega)
        bounds = score.new_tensor([[low]]), score.new_tensor([[high]])
        found = risk_advantage(score[None], *bounds, weights, natural_baseline=self.natural_baseline)[0]
        if self.scale == "none" or len(score) < 2:
            return found
        std = float(score.std())
        return found / (std + 1e-6 if std > SMALLEST_STD else 1.0)

    def _quantiles(
        self, blocks: list[Int[Tensor, "_ _"]], scores: list[Float[Tensor, " _"]]
    ) -> list[tuple[float, float]]:
        """Return each block's lower and upper quantile, and move the tracker on."""
        shares = [len(rows) / self.bundle_size for rows in blocks]
        levels = torch.tensor([self.alpha, self.beta], dtype=torch.double)
        own = [torch.quantile(score, levels) for score in scores]
        whole = torch.cat([score / share for score, share in zip(scores, shares, strict=True)])
        self._look(whole)
        if self.quantiles != "batch":
            tracked, part = self._track(whole), 1.0 if self.quantiles == "track" else 0.5
            own = [part * share * tracked + (1 - part) * q for share, q in zip(shares, own, strict=True)]
        return [(float(q[0]), float(q[1])) for q in own]

    def _track(self, whole: Float[Tensor, " K"]) -> Float[Tensor, "2"]:
        """Return the tracked quantiles from before this batch and take the batch in; the first batch sets the start."""
        tracker = QuantileTracker((self.alpha, self.beta), self.quantile_lr)
        tracker.load_state_dict({"values": self._tracked})
        tracker.update(whole)
        before, self._tracked = self._tracked or tracker.values, tracker.values
        self._figures |= {"risk/low": before[0], "risk/high": before[1]}
        return torch.tensor(before, dtype=torch.double)

    def _look(self, whole: Float[Tensor, " K"]) -> None:
        """Note the risk measures of whole bundles' scores."""
        even = torch.full_like(whole, 1 / len(whole))
        self._figures = {"risk/mean": float(whole.mean())}
        measures: tuple[Measure, ...] = ("mvar", "cvar", "rvar")
        for name in measures:
            weights = tail_weights(name, self.alpha, self.beta, self.omega)
            self._figures[f"risk/{name}"] = float(risk_value(whole, even, weights, self.alpha, self.beta))

    def compares_within_groups(self) -> bool:
        """Return whether a block's quantiles come from its own bundles alone, of which groups of one leave one."""
        return self.quantiles == "batch"

    def problems_needed(self) -> int:
        """Return a bundle's prompts if smaller bundles are left out."""
        return self.bundle_size if self.drop_last else 1

    def figures(self) -> dict[str, float]:
        """Return the last batch's risk measures, the quantiles used, and the covariance that moves entropy."""
        return self._figures

    def state_dict(self) -> dict[str, Any]:
        """Return the tracked quantiles and how many batches were seen."""
        return {"batches": self._batches, "tracked": list(self._tracked)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore them."""
        self._batches, self._tracked = state["batches"], tuple(state["tracked"])
