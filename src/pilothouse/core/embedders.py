"""When two sentences say the same: embeddings that can be compared, and a threshold on their cosine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pilothouse.core.errors import DataError
from pilothouse.core.parts import SLOT, Catalogue, Part, Settings


class Embedder(Part):
    """Turns texts into vectors whose cosine says how alike they are. Vectors of one call can be compared."""

    catalogue: ClassVar[Catalogue] = Catalogue("embedder", "pilothouse.core")

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return [N, D], a row a text, none of them zero.

        Args:
            texts: N texts, none of them empty.
        """
        raise NotImplementedError


class Exact(Embedder):
    """Two texts are alike if they are equal but for white space and case: for synthetic tasks."""

    name: ClassVar[str] = "exact"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row of zeros and a single 1 for each text."""
        plain = [" ".join(text.casefold().split()) for text in texts]
        places = {text: at for at, text in enumerate(dict.fromkeys(plain))}
        return np.eye(len(places))[[places[text] for text in plain]]


class NGrams(Embedder):
    """Counts of character n-grams, log-scaled. Needs no model and no corpus, so a pair's cosine is always the same.

    Args:
        shortest: length of the shortest n-grams.
        longest: length of the longest.
    """

    name: ClassVar[str] = "ngrams"
    shortest: Annotated[int, Field(ge=1)] = 3
    longest: Annotated[int, Field(ge=1)] = 5

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return [N, D], D the n-grams that occur."""
        places: dict[str, int] = {}
        rows, columns = list[int](), list[int]()
        for row, text in enumerate(texts):
            padded = f" {' '.join(text.casefold().split())} "
            for size in range(min(self.shortest, len(padded)), self.longest + 1):
                for start in range(len(padded) - size + 1):
                    rows.append(row)
                    columns.append(places.setdefault(padded[start : start + size], len(places)))
        counts = np.zeros((len(texts), len(places)))
        np.add.at(counts, (rows, columns), 1.0)
        return np.log1p(counts)


class Likeness(Settings):
    """When a sentence counts as similar to another: the cosine of their embeddings is at least a threshold.

    Args:
        embedder: "exact", "ngrams", or your own as ``module:Class``.
        threshold: the cosine tau from which on two sentences are similar; above 1 nothing is, at -1 everything is.
    """

    embedder: Annotated[Embedder, SLOT] = NGrams()
    threshold: float = 0.8

    def cosines(self, sentence: str, others: Sequence[str]) -> np.ndarray:
        """Return [N] cosines between a sentence and each of the others.

        Args:
            sentence: what is looked for.
            others: N sentences.

        Raises:
            DataError: a text is empty, or the embedder does not return one finite row other than zero for each text.
        """
        if not others:
            return np.zeros(0)
        distinct = list(dict.fromkeys((sentence, *others)))
        unit = _embedded(self.embedder, distinct)
        # Rounded so that a text is similar to itself at a threshold of exactly 1.
        cosines: np.ndarray = unit @ unit[0]
        places = {text: at for at, text in enumerate(distinct)}
        return cosines.round(9).clip(-1, 1)[[places[other] for other in others]]

    def alike(self, sentence: str, others: Sequence[str]) -> np.ndarray:
        """Return [N] whether each of the others is similar to a sentence (see ``cosines``)."""
        return self.cosines(sentence, others) >= self.threshold


def _embedded(embedder: Embedder, texts: Sequence[str]) -> np.ndarray:
    """Return [N, D] unit rows."""
    if any(not text.strip() for text in texts):
        raise DataError("an empty sentence has no meaning to compare: leave sentences without a visible character out")
    rows = np.asarray(embedder(texts), dtype=float)
    if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all() or not rows.any(axis=1).all():
        raise DataError(
            f"embedder '{embedder.name}' returned an array of shape {rows.shape} for {len(texts)} texts; "
            "it must return one finite row other than zero for each"
        )
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
