"""The padded batch of episodes that selectors, credit and objectives read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pilothouse.core.episodes import Episode
from pilothouse.core.problems import Score, ScoreStatus
from pilothouse.core.requests import Tokens

_SO_FAR = Score(reward=0.0)  #: of a response that has not ended


@dataclass(frozen=True)
class Rollouts:
    """N episodes, right-padded to T response tokens. Every tensor lives on the CPU.

    Args:
        prompts: N ragged token sequences.
        tokens: [N, T] response token ids, 0 where padded.
        action_mask: [N, T] True where the policy chose the token; False on environment text and padding.
        sampler_logprobs: [N, T] the sampler's log-probabilities; NaN where unknown, 0 where nobody chose.
        rewards: [N] total rewards; NaN where the verifier failed.
        groups: [N] index of the group (the problem) an episode belongs to.
        truncated: [N] True where the response hit its length limit.
        lengths: [N] number of response tokens.
        segments: [N, T] index of the segment a token belongs to within its episode, -1 outside any.
        segment_values: [N, T] what a search found the state after a segment to be worth, at its last token; NaN
            everywhere else.
        reward_parts: named [N] components of the reward.
        train_mask: [N, T] tokens that carry a loss: starts as the action mask of the episodes whose verifier worked,
            selectors may only shrink it.
        stats_mask: [N] episodes whose reward counts in group and batch statistics.
        episodes: the N records.
        max_length: the sampler's response length limit, in tokens; T if nobody said.
        old_logprobs: [N, T] log-probabilities under the policy that starts the update, if computed.
        ref_logprobs: [N, T] log-probabilities under the reference policy, if computed.
        entropies: [N, T] entropy in nats, at each action, of the policy that starts the update, if computed.
        values: [N, T] value estimates at each response token's state, if computed.
        prompt_logprobs: N ragged rows, the log-probability of each prompt token but the first, if computed.
        unfinished: [N] True where the response goes on at a later step: its reward is 0 so far and does not count in
            statistics; ``None`` if all have ended.
        starts: [N] first token drawn since the last update; ``None`` if that is 0 everywhere.
        final_values: [N] value estimate of the state after the last token, if computed.
    """

    prompts: tuple[Tokens, ...]
    tokens: Int[Tensor, "N T"]
    action_mask: Bool[Tensor, "N T"]
    sampler_logprobs: Float[Tensor, "N T"]
    rewards: Float[Tensor, " N"]
    groups: Int[Tensor, " N"]
    truncated: Bool[Tensor, " N"]
    lengths: Int[Tensor, " N"]
    segments: Int[Tensor, "N T"]
    segment_values: Float[Tensor, "N T"]
    reward_parts: dict[str, Float[Tensor, " N"]]
    train_mask: Bool[Tensor, "N T"]
    stats_mask: Bool[Tensor, " N"]
    episodes: tuple[Episode, ...] = ()
    max_length: int = 0
    old_logprobs: Float[Tensor, "N T"] | None = None
    ref_logprobs: Float[Tensor, "N T"] | None = None
    entropies: Float[Tensor, "N T"] | None = None
    values: Float[Tensor, "N T"] | None = None
    prompt_logprobs: tuple[tuple[float, ...], ...] = ()
    unfinished: Bool[Tensor, " N"] | None = None
    starts: Int[Tensor, " N"] | None = None
    final_values: Float[Tensor, " N"] | None = None

    def __len__(self) -> int:
        """Return N."""
        return len(self.prompts)

    @property
    def n_groups(self) -> int:
        """Number of distinct groups."""
        return len({int(group) for group in self.groups})

    @property
    def earlier(self) -> Bool[Tensor, "N T"]:
        """Tokens that were drawn before the last update."""
        steps = torch.arange(self.tokens.shape[1])
        return steps < (torch.zeros(len(self), 1) if self.starts is None else self.starts[:, None])

    def ended(self) -> Rollouts:
        """Return the episodes that have ended."""
        return self if self.unfinished is None else self.take((~self.unfinished).nonzero().flatten())

    def replace(self, **changes: Any) -> Rollouts:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def take(self, rows: Int[Tensor, " B"]) -> Rollouts:
        """Return the chosen episodes, in the order given, with trailing padding trimmed.

        Args:
            rows: indices into N.
        """
        index = [int(row) for row in rows]
        width = max((int(self.lengths[i]) for i in index), default=0)
        cut: dict[str, Any] = {}
        for item in fields(self):
            value: Any = getattr(self, item.name)
            if isinstance(value, Tensor):
                cut[item.name] = value[rows][:, :width] if value.ndim == 2 else value[rows]
            elif isinstance(value, tuple) and value:
                cut[item.name] = tuple(cast(tuple[Any, ...], value)[i] for i in index)
        cut["reward_parts"] = {name: part[rows] for name, part in self.reward_parts.items()}
        return replace(self, **cut)

    @staticmethod
    def from_episodes(
        episodes: Sequence[Episode], groups: Sequence[int] | None = None, max_length: int | None = None
    ) -> Rollouts:
        """Pad episodes into a batch.

        Args:
            episodes: N episodes, scored unless they are unfinished.
            groups: [N] group of each episode; by default, episodes of the same problem form a group.
            max_length: the sampler's response length limit, in tokens; by default the longest response.

        Raises:
            ValueError: there is no episode, one that has ended was never scored, or ``groups`` has another length.
        """
        if not episodes:
            raise ValueError("no episodes: a program must return at least one episode to learn from")
        if groups is None:
            order = {name: i for i, name in enumerate(dict.fromkeys(e.problem_id for e in episodes))}
            groups = [order[e.problem_id] for e in episodes]
        if len(groups) != len(episodes):
            raise ValueError(f"{len(episodes)} episodes but {len(groups)} group indices; give one per episode")
        count, width = len(episodes), max(len(e.tokens) for e in episodes)
        tokens = torch.zeros(count, width, dtype=torch.long)
        actions = torch.zeros(count, width, dtype=torch.bool)
        logprobs = torch.zeros(count, width)
        segments = torch.full((count, width), -1, dtype=torch.long)
        segment_values = torch.full((count, width), float("nan"))
        rewards, judged = torch.full((count,), float("nan")), torch.zeros(count, dtype=torch.bool)
        names = dict.fromkeys(name for e in episodes if e.score for name in e.score.parts)
        parts = {name: torch.full((count,), float("nan")) for name in names}
        for row, episode in enumerate(episodes):
            score = _SO_FAR if episode.unfinished else episode.score
            if score is None:
                raise ValueError(f"episode {row} of problem '{episode.problem_id}' has no score; score it first")
            size = len(episode.tokens)
            tokens[row, :size] = torch.tensor(episode.tokens, dtype=torch.long)
            actions[row, :size] = torch.tensor(episode.action_mask, dtype=torch.bool)
            logprobs[row, :size] = torch.tensor(episode.logprobs, dtype=torch.float32)
            for index, segment in enumerate(episode.segments):
                segments[row, segment.start : segment.stop] = index
                if segment.stop > segment.start:
                    segment_values[row, segment.stop - 1] = segment.value
            if score.status is ScoreStatus.OK:
                rewards[row], judged[row] = score.reward, not episode.unfinished
            for name, part in score.parts.items():
                parts[name][row] = part
        unfinished = torch.tensor([e.unfinished for e in episodes])
        starts = torch.tensor([e.start for e in episodes])
        return Rollouts(
            prompts=tuple(e.prompt for e in episodes),
            tokens=tokens,
            action_mask=actions,
            sampler_logprobs=torch.where(actions, logprobs, 0.0),
            rewards=rewards,
            groups=torch.tensor(groups, dtype=torch.long),
            truncated=torch.tensor([e.truncated for e in episodes]),
            lengths=torch.tensor([len(e.tokens) for e in episodes]),
            segments=segments,
            segment_values=segment_values,
            reward_parts=parts,
            train_mask=actions & (judged | unfinished)[:, None],
            stats_mask=judged,
            episodes=tuple(episodes),
            max_length=width if max_length is None else max_length,
            unfinished=unfinished if unfinished.any() else None,
            starts=starts if starts.any() else None,
        )
