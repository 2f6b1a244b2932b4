"""Slots: what a window draws, keeps, trains on and hands to the value network; what does not fit is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.problems import Problem, Score
from pilothouse.core.requests import StopReason
from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Runner
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.arms import scratch_trainer
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import tiny_policy
from pilothouse.programs.base import Sampling
from pilothouse.programs.group import Group
from pilothouse.reports.progress import Progress
from pilothouse.tasks.base import Task
from pilothouse.training.collect import attempt, flatten
from pilothouse.training.config import RunConfig, nested, resolve
from pilothouse.training.data import PromptOrder
from pilothouse.training.loop import Trainer
from pilothouse.training.slots import SlotPool, stopped_at

LIMIT = 12


class Digits(Task):
    """Write digits until the end comes by itself; even ones are worth a point each, of at most the limit."""

    name = "slots:Digits"
    response_limit = LIMIT
    character_set = "0123456789="

    def problems(self, split: str) -> list[Problem]:
        return [Problem(f"{split}-{i}", "7" * (i % 3) + f"{i}=") for i in range(9)]

    def score(self, problem: Problem, response: str) -> Score:
        return Score(sum(response.count(d) for d in "02468") / LIMIT)


def policy(seed: int = 0) -> CausalPolicy:
    """One that ends about every sixth token, so that lengths differ."""
    made = tiny_policy(Digits.character_set, seed, "nano")
    with torch.no_grad():
        for weight in made.model.parameters():
            weight.mul_(1.5)
    return made


def config(**changes: Any) -> RunConfig:
    """T-PPO on four slots of windows of five tokens, one optimiser step a pass."""
    base = {
        "training": {"steps": 9, "prompts": 4, "window": 5, "minibatches": 1, "learning_rate": 3e-3},
        "critic": {"warmup": 0},
        "task": Digits(),
    }
    return resolve("t-ppo", find_method("t-ppo").policy_gradient, base, nested(changes.items()))


@pytest.fixture
def trainer() -> Iterator[Trainer]:
    with scratch_trainer(config(), policy(), Progress()) as made:
        yield made


def pool(acting: CausalPolicy, window: int, *, prompts: int = 4, group: int = 1, task: Task | None = None) -> SlotPool:
    task = task or Digits()
    order = PromptOrder(task.problems("train"), SeedTree(3) / "data")
    runner, seeds = Runner(LocalEngine(acting)), SeedTree(3) / "sampling"
    return SlotPool(runner, acting, task, order, seeds, program=Group(n=group), prompts=prompts, window=window)


def whole_responses(slots: SlotPool, iterations: int) -> dict[int, tuple[int, ...]]:
    """Ended responses by number."""
    found: dict[int, tuple[int, ...]] = {}
    for _ in range(iterations):
        numbers = [slot.number for slot in slots.slots]
        found |= {n: e.tokens for n, e in zip(numbers, slots.advance().episodes, strict=True) if not e.unfinished}
    return found


def test_a_window_is_a_cut_and_not_another_draw() -> None:
    acting = policy()
    whole = whole_responses(pool(acting, LIMIT, group=2), 4)
    assert len({len(tokens) for tokens in whole.values()}) > 3, "lengths differ, or nothing is tested"
    for window in (1, 5):
        cut = whole_responses(pool(acting, window, group=2), 40 // window)
        both = whole.keys() & cut.keys()
        assert len(both) > 16
        assert all(whole[number] == cut[number] for number in both)


@pytest.mark.parametrize("group", [1, 3])
def test_a_window_that_holds_every_response_is_synchronous_sampling(group: int) -> None:
    acting, task = policy(), Digits()
    slots = pool(acting, LIMIT, group=group)
    order = PromptOrder(task.problems("train"), SeedTree(3) / "data")
    for step in range(2):
        grown = slots.advance()
        node = SeedTree(3) / "sampling" / step / 0
        attempts = attempt(Runner(LocalEngine(acting)), Group(n=group), acting, task, order.draw(4), node)
        episodes, groups = flatten(attempts)
        assert grown.groups == groups
        assert [e.tokens for e in grown.episodes] == [e.tokens for e in episodes]
        assert [e.logprobs for e in grown.episodes] == [e.logprobs for e in episodes]
        assert [(e.prompt, e.text, e.stop_reason, e.score, e.problem_id) for e in grown.episodes] == [
            (e.prompt, e.text, e.stop_reason, e.score, e.problem_id) for e in episodes
        ]


def trained(changes: dict[str, Any], steps: int) -> tuple[list[tuple[Rollouts, torch.Tensor]], Trainer]:
    """What each step learnt from, and the trainer after the last."""
    seen: list[tuple[Rollouts, torch.Tensor]] = []
    with scratch_trainer(config(**changes), policy(), Progress()) as made:
        update = made.updater.update

        def watched(rollouts: Rollouts, weights: torch.Tensor, *rest: Any) -> dict[str, float]:
            seen.append((rollouts, weights.clone()))
            return update(rollouts, weights, *rest)

        made.updater.update = watched  # type: ignore[method-assign]
        made.warm_up()
        for step in range(steps):
            made.step(step)
    return seen, made


@pytest.mark.parametrize("group", [1, 2])
def test_a_window_of_the_limit_trains_as_synchronous_ppo_does(group: int) -> None:
    both = {"program.n": group, "training.minibatches": 2, "critic.minibatches": 2, "critic.warmup": 1}
    ours, mine = trained({**both, "training.window": LIMIT}, 3)
    theirs, yours = trained({**both, "training.window": 0}, 3)
    for (a, weights), (b, same) in zip(ours, theirs, strict=True):
        for name in ("tokens", "train_mask", "rewards", "groups", "old_logprobs", "values", "stats_mask"):
            assert getattr(a, name).equal(getattr(b, name)), name
        assert weights.equal(same)
    one, other = mine.weights(), yours.weights()
    assert one.keys() == other.keys()
    assert any(name.startswith("critic.") for name in one)
    assert all(one[name].equal(other[name]) for name in one)


def test_every_token_trains_the_policy_once_and_the_values_once(trainer: Trainer) -> None:
    assert trainer.critic is not None
    assert trainer.pool is not None
    update, learn = trainer.updater.update, trainer.critic._step
    numbers = list[int]()  # of the responses in the slots
    lives: dict[int, list[tuple[int, int]]] = {}  # by response: the tokens that trained the policy, step by step
    ended: dict[int, int] = {}  # by response: how many tokens the values learnt from when it ended
    going_on = list[bool]()

    def watched(rollouts: Rollouts, *rest: Any) -> dict[str, float]:
        going_on[:] = [e.unfinished for e in rollouts.episodes]
        for row, number in enumerate(numbers):
            where = rollouts.train_mask[row].nonzero().flatten().tolist()
            assert where == list(range(where[0], where[-1] + 1))
            lives.setdefault(number, []).append((where[0], where[-1] + 1))
        return update(rollouts, *rest)

    def valued(rollouts: Rollouts, returns: torch.Tensor, rows: torch.Tensor, step: int) -> dict[str, float]:
        done = [number for number, on in zip(numbers, going_on, strict=True) if not on]
        for row in rows.tolist():
            assert done[row] not in ended
            ended[done[row]] = int(rollouts.train_mask[row].sum())
            outcome = rollouts.rewards[row].expand(ended[done[row]])
            torch.testing.assert_close(returns[row][rollouts.train_mask[row]], outcome)
        return learn(rollouts, returns, rows, step)

    trainer.updater.update, trainer.critic._step = watched, valued  # type: ignore[method-assign]
    for step in range(9):
        numbers[:] = [slot.number for slot in trainer.pool.slots]
        trainer.step(step)
    assert len(ended) > 8
    assert max(map(len, lives.values())) > 1, "some response grew over several steps"
    for number, size in ended.items():
        windows = lives[number]
        assert [a for a, _ in windows] == [0, *(b for _, b in windows[:-1])], "windows follow one another"
        assert windows[-1][1] == size


def test_stored_logprobs_are_those_of_the_policy_that_drew_the_token(trainer: Trainer) -> None:
    assert trainer.pool is not None
    versions: list[CausalPolicy] = []
    born: dict[int, list[tuple[int, int, int]]] = {}  # by response: first and last token of a window, and its version
    advance = trainer.pool.advance

    def watched(*rest: Any) -> Any:
        versions.append(trainer.policy.reference())
        numbers = [slot.number for slot in trainer.pool.slots]  # type: ignore[union-attr]
        grown = advance(*rest)
        for number, episode in zip(numbers, grown.episodes, strict=True):
            born.setdefault(number, []).append((episode.start, len(episode.tokens), len(versions) - 1))
            tokens = torch.tensor([episode.tokens])
            for start, stop, version in born[number]:
                mask = torch.zeros_like(tokens, dtype=torch.bool)
                mask[0, start:stop] = True
                own = versions[version].token_scores([episode.prompt], tokens, mask).logprobs[0, start:stop]
                torch.testing.assert_close(own, torch.tensor(episode.logprobs[start:stop]), atol=1e-5, rtol=0)
        return grown

    trainer.pool.advance = watched  # type: ignore[method-assign]
    for step in range(6):
        row = trainer.step(step)
        assert row.get("gap_max", 0.0) < 1e-5, "the ratio begins at 1, also right after a refill"
    assert max(map(len, born.values())) > 1
    first, last = versions[0], versions[-1]
    assert not all(a.equal(b) for a, b in zip(first.model.parameters(), last.model.parameters(), strict=True))


def test_retraining_whole_responses_uses_the_old_logprobs() -> None:
    seen, _ = trained({"training.window_trains": "response"}, 6)
    again = 0
    for rollouts, _weights in seen:
        earlier = rollouts.earlier & rollouts.action_mask
        assert (rollouts.train_mask & earlier).equal(earlier)
        assert rollouts.old_logprobs is not None or not earlier.any()
        if rollouts.old_logprobs is not None:
            assert rollouts.old_logprobs[earlier].equal(rollouts.sampler_logprobs[earlier])
            again += int(earlier.sum())
    assert again > 10


def test_slots_do_not_mix() -> None:
    acting = policy()
    slots = pool(acting, 3)
    for _ in range(6):
        before = list(slots.slots)
        grown = slots.advance()
        for slot, episode, after in zip(before, grown.episodes, slots.slots, strict=True):
            assert episode.tokens[: episode.start] == slot.tokens
            assert episode.logprobs[: episode.start] == slot.logprobs
            if episode.unfinished:
                assert (after.number, after.tokens, after.logprobs) == (slot.number, episode.tokens, episode.logprobs)
            else:
                assert after.number not in [s.number for s in before]
                assert after.tokens == ()
    other = pool(acting, 3)
    other.slots = [other.slots[0], *(type(s)(s.number + 40) for s in other.slots[1:])]
    alone = pool(acting, 3)
    assert other.advance().episodes[0].tokens == alone.advance().episodes[0].tokens


def test_a_response_ends_at_the_limit_or_at_the_context_and_not_before() -> None:
    acting = policy()
    acting.eos_ids = frozenset()
    for context in (acting.context, 9):
        acting.context = context
        slots = pool(acting, 5)
        seen = [slots.advance() for _ in range(3)]
        for episodes in zip(*(g.episodes for g in seen), strict=True):
            limit = min(LIMIT, context - len(episodes[0].prompt))
            sizes = [min(5, limit), min(10, limit), limit]
            last = next(i for i, size in enumerate(sizes) if size == limit)
            assert [len(e.tokens) for e in episodes[: last + 1]] == sizes[: last + 1]
            assert [e.stop_reason for e in episodes[: last + 1]] == [StopReason.CUT] * last + [StopReason.LENGTH]
            assert episodes[last].score is not None


class TwoDigitStop(Digits):
    """Ends where "11" or "12" is written, which a window may cut in two."""

    name = "slots:TwoDigitStop"
    stop = tuple(f"{a}{b}" for a in "13579" for b in "0123456789")


def test_a_stop_string_that_a_cut_runs_through_is_seen() -> None:
    acting = policy()
    whole = whole_responses(pool(acting, LIMIT, task=TwoDigitStop()), 6)
    cut = whole_responses(pool(acting, 1, task=TwoDigitStop()), 30)
    both = whole.keys() & cut.keys()
    assert len(both) > 12
    assert all(whole[number] == cut[number] for number in both)


def test_where_a_response_stopped() -> None:
    codec = policy().codec
    tokens = codec.encode("34512")
    assert stopped_at(tokens, 0, ("45",), codec) is None, "the engine saw all of that"
    assert stopped_at(tokens, 2, ("45",), codec) == 3
    assert stopped_at(tokens, 4, ("512", "9"), codec) == 5
    assert stopped_at(tokens, 2, ("46",), codec) is None
    assert stopped_at(tokens, 2, (), codec) is None


def test_state_is_what_there_is() -> None:
    acting = policy()
    one, other = pool(acting, 3), pool(acting, 3)
    one.advance()
    assert any(slot.tokens for slot in one.slots)
    other.load_state_dict(one.state_dict())
    assert other.slots == one.slots
    assert other.advance().episodes == one.advance().episodes
    assert other.state_dict() == one.state_dict()


def test_checkpoints_hold_responses_under_way(tmp_path: Path) -> None:
    with scratch_trainer(config(), policy(), Progress()) as made:
        for step in range(3):
            made.step(step)
        assert made.pool is not None
        assert made.critic is not None
        made.done = 3
        made.save()
        slots, weights, skipped = list(made.pool.slots), {n: w.clone() for n, w in made.weights().items()}, 7
        made.critic.skipped = skipped
        made.step(3)
        assert made.pool.slots != slots
        made.restore()
        assert made.pool.slots == slots
        assert any(slot.tokens for slot in slots)
        assert made.critic.skipped == 0
        assert all(weights[name].equal(weight) for name, weight in made.weights().items())


def test_prompt_tokens_have_no_part_in_the_loss(trainer: Trainer) -> None:
    """Prompts are no column of any mask: silencing them changes nothing, and only a row's own window has a gradient."""
    trainer.step(0)
    assert trainer.pool is not None
    grown = trainer.pool.advance()
    rollouts = Rollouts.from_episodes(grown.episodes, grown.groups, LIMIT)
    assert rollouts.starts is not None
    mask = rollouts.train_mask & ~rollouts.earlier
    assert not mask[rollouts.starts > 0][:, 0].any()
    acting, prompts = trainer.policy, list(rollouts.prompts)
    longest = max(map(len, prompts))

    def gradient(as_response: bool) -> torch.Tensor:
        acting.model.zero_grad()
        if as_response:  # all of a prompt but its first token becomes part of the row, masked out
            heads = [p[:1] for p in prompts]
            rows = [(*p[1:], *e.tokens) for p, e in zip(prompts, grown.episodes, strict=True)]
            wide = torch.tensor([[*r, *[0] * (longest + LIMIT - len(r))] for r in rows])
            shown = torch.zeros(wide.shape, dtype=torch.bool)
            for row, prompt in enumerate(prompts):
                shown[row, len(prompt) - 1 : len(prompt) - 1 + mask.shape[1]] = mask[row]
            acting.token_scores(heads, wide, shown).logprobs.sum().backward()
        else:
            acting.token_scores(prompts, rollouts.tokens, mask).logprobs.sum().backward()
        return torch.cat([w.grad.flatten() for w in acting.model.parameters() if w.grad is not None])

    torch.testing.assert_close(gradient(True), gradient(False), atol=1e-4, rtol=1e-4)


def test_metrics_are_those_of_responses_that_ended(trainer: Trainer) -> None:
    row = trainer.step(0)
    assert row["slots"] == 4
    assert row["decode_steps"] == 5
    assert 0 < row["slot_use"] <= 1
    assert row["episodes"] == row["critic/responses"] < 4
    assert row["trained_tokens"] == row["slot_use"] * row["decode_steps"] * row["slots"]
    kept = list(trainer.store.rollouts())
    assert len(kept) == row["episodes"]


def test_a_step_at_which_nothing_ends_trains_the_policy_alone() -> None:
    acting = policy()
    acting.eos_ids = frozenset()
    with scratch_trainer(config(), acting, Progress()) as made:
        assert made.critic is not None
        with torch.no_grad():
            made.critic.network.value_head.weight.normal_(generator=torch.Generator().manual_seed(0))  # type: ignore
        before = {name: weight.clone() for name, weight in made.weights().items()}
        row = made.step(0)
        after = made.weights()
        changed = {name for name, weight in before.items() if not weight.equal(after[name])}
        assert changed
        assert not [name for name in changed if name.startswith("critic.")]
        assert row["critic/skipped"] == 1
        assert row["episodes"] == 0
        assert row["reward"] != row["reward"], "nobody knows yet"
        assert not list(made.store.rollouts())


class Undecided(Digits):
    """A task whose verifier fails on the responses that ``broken`` says."""

    name = "slots:Undecided"
    broken: str = "always"

    def score(self, problem: Problem, response: str) -> Score:
        fails = self.broken == "always" or problem.id.endswith(("0", "1"))
        return Score.failed("no verdict") if fails else super().score(problem, response)


def test_a_verifier_that_judges_nothing_stops_the_run_once_that_is_sure() -> None:
    with scratch_trainer(config(task=Undecided()), policy(), Progress()) as made:
        made.step(0)  # a few failures are no proof
        with pytest.raises(DataError, match=r"could judge none of the [4-7] responses \(no verdict\)"):
            made.fit()
    with scratch_trainer(config(task=Undecided(broken="some")), policy(), Progress()) as made:
        errors = sum(made.step(step).get("verifier_errors", 0.0) for step in range(9))
    assert errors > 0


REFUSED = {
    "plain responses, and program 'beam'": {"program": "beam"},
    "credit 'grpo' reads no values": {"credit": "grpo", "program.n": 2},
    "reward of a response, which one that training.window cut has not": {
        "credit": "grpo",
        "critic": {"network": "shared", "warmup": 0},
        "program.n": 2,
    },
    "no longer the same tokens": {
        "critic": {"network": "shared", "warmup": 0},
        "objective": "clipped + 0.5*value",
    },
    "the settings of critic are those of a network of its own": {
        "critic.network": "shared",
        "critic.warmup": 3,
        "training.window": 0,
        "objective": "clipped + 0.5*value",
    },
    "selector 'zero-variance' compares responses": {"select": "zero-variance"},
    "likelihood ratio of whole responses": {"objective.ratio": "sequence"},
    "trains a value head on the policy's network": {"objective": "clipped + 0.5*value"},
    "value_head.dropout 0": {"value_head.dropout": 0.1},
    "leave a separate value network where it is": {"training.restart": True},
    "greater than or equal to 0": {"training.window": -1},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_makes_no_sense_is_refused(reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        config(**REFUSED[reason])


def test_a_prompt_longer_than_the_context_is_refused() -> None:
    acting = policy()
    acting.context = 2
    with pytest.raises(ConfigError, match="must leave room for a response"):
        pool(acting, 3).advance()


def test_separate_values_serve_synchronous_ppo_too() -> None:
    shared = find_method("ppo").policy_gradient
    assert shared.head is not None
    own = resolve("ppo", shared, {"task": Digits(), "critic": {"network": "separate"}, "objective": "clipped"})
    assert own.head is None
    assert own.training.window == 0


def test_sampling_settings_hold_in_windows() -> None:
    acting = policy()
    greedy = pool(acting, 4)
    greedy.sampling = Sampling(temperature=0.0, max_tokens=8)
    seen = [greedy.advance() for _ in range(2)]
    for one, other in zip(*(g.episodes for g in seen), strict=True):
        if one.unfinished:
            assert other.tokens[:4] == one.tokens
            assert len(other.tokens) <= 8
