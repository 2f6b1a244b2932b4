"""What a sentence of a chain of thought does to its outcome: importance by resampling.

R_i are the branches from the prefix S_{<i}: sentence i was removed and drawn anew. R_{i+1} are those that keep it. Both
come from the same sampler; a single base chain is not a distribution. All functions ignore the order of branches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pilothouse.core.branches import Branch
from pilothouse.core.embedders import Likeness
from pilothouse.core.errors import DataError
from pilothouse.decisions.measures import Shift, shift


@dataclass(frozen=True)
class Importance(Shift):
    """A shift of outcomes by the content of a sentence.

    Args:
        different: share of R_i whose sentences qualify as different from the one removed.
        overdetermined: 1 - (distinct replacements) / M: how far the prefix alone decides what comes next.
        fell_back: True where too few were different and all of R_i was taken instead.
    """

    different: float = math.nan
    overdetermined: float = math.nan
    fell_back: bool = False


def resampling_importance(
    removed: Sequence[Branch], kept: Sequence[Branch], *, rng: np.random.Generator, **how: Any
) -> Importance:
    """Return KL(p(A | R_i) || p(A | R_{i+1})): what drawing the sentence anew does, whatever comes in its place.

    Args:
        removed: R_i.
        kept: R_{i+1}.
        rng: draws the bootstrap's resamples.
        how: ``alpha``, ``classes``, ``empty``, ``level``, ``resamples`` as in ``measures.shift``.
    """
    return _importance(removed, removed, _outcomes(kept), rng=rng, **how)


def forced_importance(
    before: Sequence[Branch], after: Sequence[Branch], *, rng: np.random.Generator, **how: Any
) -> Importance:
    """Return the same divergence for answers that were forced right after S_{<i} and right after S_{<=i}.

    Args:
        before: branches of the answer forced without the sentence.
        after: branches of the answer forced with it.
        rng: draws the bootstrap's resamples.
        how: as in ``resampling_importance``.

    Source: the code of Thought Anchors, arXiv 2506.19143.
    """
    return resampling_importance(before, after, rng=rng, **how)


def counterfactual_importance(
    sentence: str,
    removed: Sequence[Branch],
    kept: Sequence[Branch],
    likeness: Likeness,
    *,
    rng: np.random.Generator,
    use_similar: bool = False,
    fallback: float = 0.0,
    **how: Any,
) -> Importance:
    """Return KL(p(A' | T_i not like S_i) || p(A | S_i)), the outcome when something else was said in its place.

    Args:
        sentence: S_i.
        removed: R_i; those whose replacement is not similar to the sentence count.
        kept: R_{i+1}.
        likeness: when two sentences are similar.
        rng: draws the bootstrap's resamples.
        use_similar: count the similar branches of R_i among those that keep the sentence, as the official code can.
        fallback: below this share of different replacements, take all of R_i instead (resampling importance).
        how: ``alpha``, ``classes``, ``empty``, ``level``, ``resamples`` as in ``measures.shift``.

    Source: Thought Branches, arXiv 2510.27484, equation 1.
    """
    flags = different_replacement(sentence, removed, likeness)
    chosen = [branch for branch, flag in zip(removed, flags, strict=True) if flag]
    rest = [branch for branch, flag in zip(removed, flags, strict=True) if not flag]
    if len(chosen) < fallback * len(removed):
        return _importance(removed, removed, _outcomes(kept), rng=rng, fell_back=True, **how)
    compared = _outcomes(kept) + (_outcomes(rest) if use_similar else [])
    return _importance(chosen, removed, compared, rng=rng, **how)


def counterfactual_pp(
    sentence: str,
    removed: Sequence[Branch],
    kept: Sequence[Branch],
    likeness: Likeness,
    *,
    rng: np.random.Generator,
    **how: Any,
) -> Importance:
    """Return KL(p(A' | no T_j, j >= i, like S_i) || p(A | S_i)): the outcome when the content never comes back.

    Args:
        sentence: S_i.
        removed: R_i; those in which no sampled sentence is similar to the sentence count.
        kept: R_{i+1}.
        likeness: when two sentences are similar.
        rng: draws the bootstrap's resamples.
        how: ``alpha``, ``classes``, ``empty``, ``level``, ``resamples`` as in ``measures.shift``.

    Source: Thought Branches, arXiv 2510.27484, equation 2 (CI++).
    """
    flags = never_again(sentence, removed, likeness)
    chosen = [branch for branch, flag in zip(removed, flags, strict=True) if flag]
    return _importance(chosen, removed, _outcomes(kept), rng=rng, **how)


def different_replacement(sentence: str, branches: Sequence[Branch], likeness: Likeness) -> np.ndarray:
    """Return [N] whether a branch's replacement is not similar to a sentence; a chain that ended there is not."""
    return _without(sentence, [(branch.replacement,) for branch in branches], likeness)


def never_again(sentence: str, branches: Sequence[Branch], likeness: Likeness) -> np.ndarray:
    """Return [N] whether no sampled sentence of a branch is similar to a sentence."""
    return _without(sentence, [branch.sentences for branch in branches], likeness)


def _without(sentence: str, said: Sequence[Sequence[str]], likeness: Likeness) -> np.ndarray:
    distinct = sorted({text for texts in said for text in texts if text})
    alike = {text for text, like in zip(distinct, likeness.alike(sentence, distinct), strict=True) if like}
    # No sentence at all is compared by the threshold alone: at -1 everything is similar.
    return np.array([likeness.threshold > -1 and alike.isdisjoint(texts) for texts in said], dtype=bool)


def similarity_quantile(
    pairs: Sequence[tuple[str, Sequence[Branch]]], likeness: Likeness, quantile: float = 0.5
) -> float:
    """Return a threshold just above a quantile of the cosines of all (removed, replacement) pairs: the paper's median.

    A median calls half of all pairs different by construction; look at 0.25 and 0.75 too. Ties at the quantile count as
    different, as where most replacements have nothing in common with what they replace; equal texts stay similar.

    Args:
        pairs: each sentence S_i with its R_i.
        likeness: whose embedder compares; its threshold is not used.
        quantile: which quantile.

    Raises:
        DataError: there is no pair.
    """
    cosines = [
        likeness.cosines(sentence, [branch.replacement for branch in branches if branch.replacement])
        for sentence, branches in pairs
    ]
    if not sum(map(len, cosines)):
        raise DataError("there is no replaced sentence to take a threshold from: resample first, or give a threshold")
    return min(1.0, float(np.nextafter(np.quantile(np.concatenate(cosines), quantile), 2)))


def _outcomes(branches: Sequence[Branch]) -> list[str | None]:
    return [branch.outcome for branch in branches]


def _importance(
    chosen: Sequence[Branch],
    removed: Sequence[Branch],
    kept: Sequence[str | None],
    *,
    fell_back: bool = False,
    **how: Any,
) -> Importance:
    found = shift(_outcomes(chosen), kept, **how)
    total = max(len(removed), 1)
    facts = {item.name: getattr(found, item.name) for item in fields(Shift)}
    distinct = len({branch.replacement for branch in removed})
    return Importance(**facts, different=len(chosen) / total, overdetermined=1 - distinct / total, fell_back=fell_back)
