"""PubMedQA's expert-labelled questions: what decisions on real text are tried with (Jin et al. 2019, MIT licence)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.errors import DataError
from pilothouse.methods.experiments.measured import find_data

FILE = "ori_pqal.json"
DECISIONS = ("yes", "no", "maybe")


@dataclass(frozen=True)
class Question:
    """A question that an abstract answers.

    Args:
        question: the abstract's title.
        abstract: the abstract without its conclusion.
        conclusion: its conclusion.
        decision: the experts' answer, of ``DECISIONS``.
    """

    question: str
    abstract: str
    conclusion: str
    decision: str


def find_questions() -> Path | None:
    """Return the questions' file under ``PILOTHOUSE_DATA``; ``None`` if it is not there."""
    return find_data(f"**/{FILE}")


def read_questions(path: Path) -> list[Question]:
    """Return the questions in the order of the file.

    Args:
        path: JSON of questions by id, with QUESTION, CONTEXTS, LONG_ANSWER and final_decision.

    Raises:
        DataError: the file cannot be read, or a question is without one of these.
    """
    try:
        rows: Mapping[str, Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        found = [
            Question(row["QUESTION"], " ".join(row["CONTEXTS"]), row["LONG_ANSWER"], row["final_decision"])
            for row in rows.values()
        ]
        if strange := {one.decision for one in found} - set(DECISIONS):
            raise ValueError(f"a decision is '{min(strange)}', none of {', '.join(DECISIONS)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"cannot read PubMedQA's questions in '{path}': {error}") from None
    return found
