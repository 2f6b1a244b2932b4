"""Auditing one chain of thought: its branches sampled once, every metric read off them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from pilothouse.core.branches import Branch
from pilothouse.core.embedders import Likeness
from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Message, Posed, Problem
from pilothouse.core.results import Cost
from pilothouse.core.seeds import SeedTree
from pilothouse.core.sentences import Sentences
from pilothouse.decisions.importance import (
    Importance,
    counterfactual_importance,
    counterfactual_pp,
    resampling_importance,
    similarity_quantile,
)
from pilothouse.engines.base import Engine
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Job, Runner
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Sampling
from pilothouse.programs.resample import Resample
from pilothouse.programs.studies import read_branches

HOW = Sampling(temperature=0.7, top_p=0.95)  #: as in the official code
WHOLE = Sentences()  #: whole sentences of prose


@dataclass(frozen=True)
class Audited:
    """One sentence and what it did.

    Args:
        index: its place, counted from 1.
        sentence: its text.
        resampling: drawing it anew, whatever comes in its place.
        counterfactual: something else in its place (CI).
        strict: its content staying away to the end (CI++).
    """

    index: int
    sentence: str
    resampling: Importance
    counterfactual: Importance
    strict: Importance

    def row(self) -> dict[str, Any]:
        """Return the figures that belong together: divergence in nats, interval, chains, signed change of rates."""
        row: dict[str, Any] = {"i": self.index, "sentence": self.sentence}
        for name, found in (("CI", self.counterfactual), ("CI++", self.strict)):
            change = " ".join(f"{outcome} {figure:+.2f}" for outcome, figure in found.change.items())
            row |= {name: found.value, f"{name} interval": f"{found.low:.2f} to {found.high:.2f}", f"{name} n": found.n}
            row[f"{name} change"] = change or "no evidence"
        return row | {"different": self.counterfactual.different, "resampling": self.resampling.value}


@dataclass(frozen=True)
class Audit:
    """What resampling says of a chain.

    Args:
        sentences: all sentences but the last, which ends the chain.
        threshold: the cosine from which on two sentences counted as similar.
        branches: R_i by the number of sentences kept; nothing has to be sampled again to measure otherwise.
        answer: the response that agrees with the majority of the resamples.
        cost: what the sampling took.
    """

    sentences: tuple[Audited, ...]
    threshold: float
    branches: Mapping[int, Sequence[Branch]]
    answer: str = ""
    cost: Cost = field(default_factory=Cost)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a sentence, JSON-ready but for NaN."""
        return [sentence.row() for sentence in self.sentences]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the branches, for JSON."""
        return {
            "threshold": self.threshold,
            "answer": self.answer,
            "cost": self.cost.to_dict(),
            "sentences": [asdict(sentence) for sentence in self.sentences],
        }

    def at(self, likeness: Likeness | float, seed: int = 0, **how: Any) -> Audit:
        """Return the audit under another likeness, from the same branches: shows how much hangs on the threshold.

        Args:
            likeness: when sentences are similar; a number is a quantile of the cosines, for character n-grams.
            seed: root of the bootstrap.
            how: ``alpha``, ``classes``, ``level`` and the like, as in ``decisions.measures.shift``.
        """
        said = [sentence.sentence for sentence in self.sentences]
        return replace(
            measure(said, self.branches, likeness, SeedTree(seed), **how), answer=self.answer, cost=self.cost
        )


def audit(
    policy: CausalPolicy | Engine,
    prompt: str | tuple[Message, ...],
    chain: str,
    outcome_fn: Callable[[str], str | None],
    n: int = 100,
    *,
    likeness: Likeness | float = 0.5,
    sampling: Sampling = HOW,
    sentences: Sentences = WHOLE,
    seed: int = 0,
    **how: Any,
) -> Audit:
    """Resample a chain of thought from each of its prefixes and return what each of its sentences did to the outcome.

    Args:
        policy: the policy that wrote the chain, or an engine for it.
        prompt: what the chain answers: text, or chat messages for a policy with a chat template.
        chain: the chain, at least two sentences.
        outcome_fn: the class of a response's outcome; ``None`` if it has none. Responses cut off by the length limit
            are not asked about: they abstain.
        n: resamples M of each prefix.
        likeness: when two sentences are similar; a number is a quantile of the cosines of all (removed, replacement)
            pairs, for character n-grams: 0.5 is the paper's median.
        sampling: how tokens are drawn; the official code's temperature and top-p.
        sentences: where sentences end.
        seed: root of sampling and bootstrap.
        how: ``alpha``, ``classes``, ``level`` and the like, as in ``decisions.measures.shift``.

    Raises:
        DataError: the chain has fewer than two sentences, or an outcome is not among ``classes``.
        ConfigError: the prompt does not suit the policy.
    """
    engine = LocalEngine(policy) if isinstance(policy, CausalPolicy) else policy
    plain = isinstance(prompt, str) and not isinstance(policy, CausalPolicy)
    tokens = engine.codec.encode(str(prompt)) if plain else _rendered(policy, prompt)
    seeds = SeedTree(seed) / "audit"
    text = prompt if isinstance(prompt, str) else engine.codec.decode(tokens)
    posed = Posed("audit", tokens, text, seeds.numpy(), engine.codec, answer_of=lambda said: outcome_fn(said) or "")
    program = Resample(n=n, chain=chain, sampling=sampling, sentences=sentences)
    [result] = Runner(engine).run([Job(program, posed, seeds)])
    return replace(audited(result.trace, seeds, likeness, **how), answer=result.answer, cost=result.cost)


def audited(trace: Mapping[str, Any], seeds: SeedTree, likeness: Likeness | float = 0.5, **how: Any) -> Audit:
    """Return the audit that the trace of a ``Resample`` program holds (see ``audit``).

    Args:
        trace: the trace of its result.
        seeds: node of the bootstrap.
        likeness: when two sentences are similar, or a quantile.
        how: as in ``decisions.measures.shift``.
    """
    said = [node["text"] for node in trace["nodes"] if "sentence" in node]
    return measure(said, read_branches(trace), likeness, seeds, **how)


def measure(
    said: Sequence[str],
    branches: Mapping[int, Sequence[Branch]],
    likeness: Likeness | float,
    seeds: SeedTree,
    **how: Any,
) -> Audit:
    """Return all importances of a chain's sentences.

    Args:
        said: its sentences; those without an R_{i+1} are left out.
        branches: R_i by the number of sentences kept.
        likeness: when two sentences are similar, or a quantile.
        seeds: node of the bootstrap.
        how: as in ``decisions.measures.shift``.
    """
    pairs = [(text, branches[at]) for at, text in enumerate(said) if at + 1 in branches]
    if isinstance(likeness, float | int):
        threshold = similarity_quantile(pairs, Likeness(), likeness) if pairs else np.nan
        likeness = Likeness(threshold=threshold)
    rows: list[Audited] = []
    for at, (text, removed) in enumerate(pairs):
        kept, rng = branches[at + 1], (seeds / "bootstrap" / at).numpy()
        rows.append(
            Audited(
                at + 1,
                text,
                resampling_importance(removed, kept, rng=rng, **how),
                counterfactual_importance(text, removed, kept, likeness, rng=rng, **how),
                counterfactual_pp(text, removed, kept, likeness, rng=rng, **how),
            )
        )
    return Audit(tuple(rows), likeness.threshold, branches)


def _rendered(policy: CausalPolicy | Engine, prompt: str | tuple[Message, ...]) -> tuple[int, ...]:
    writer: Any = policy if isinstance(policy, CausalPolicy) else getattr(policy, "policy", None)
    if not isinstance(writer, CausalPolicy):
        raise ConfigError(
            "chat messages need a policy with a chat template: give the policy itself, or the prompt as text"
        )
    return writer.render(Problem("audit", prompt))
