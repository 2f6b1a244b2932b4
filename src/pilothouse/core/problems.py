"""Problems, and the verdict of a verifier: a failure of the verifier is a status, never a reward of 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from pilothouse.core.requests import Codec, Tokens

if TYPE_CHECKING:
    import numpy as np

Message: TypeAlias = Mapping[str, str]  #: {"role": ..., "content": ...}


@dataclass(frozen=True)
class Problem:
    """One problem of a task.

    Args:
        id: unique within the task, stable between runs.
        prompt: text, or chat messages that the policy's chat template renders.
        answer: the gold answer, as the task's verifier reads it.
        solution: a worked response in the form the policy should answer in; what warm start trains on.
        info: anything else the verifier needs.
    """

    id: str
    prompt: str | tuple[Message, ...]
    answer: str = ""
    solution: str = ""
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Posed:
    """A problem as a program sees it: encoded and seeded, without its answer.

    Args:
        id: the problem's id.
        prompt: token ids of the rendered prompt.
        text: the prompt's text.
        rng: the only source of randomness a program may use.
        codec: text to token ids and back, for programs that write text of their own (budgets, hints, tool output).
        answer_of: a response's final answer in a form that can be compared, for programs that vote; empty if none.
    """

    id: str
    prompt: Tokens
    text: str
    rng: np.random.Generator
    codec: Codec
    answer_of: Callable[[str], str] = str.strip


class ScoreStatus(StrEnum):
    """Whether the verifier could judge."""

    OK = "ok"  #: judged; the reward is a number
    ERROR = "error"  #: the verifier raised, died or returned something that is not a finite number
    TIMEOUT = "timeout"  #: the verifier missed its deadline


@dataclass(frozen=True)
class Score:
    """A verdict on one response.

    Args:
        reward: the total reward; NaN unless ``status`` is OK.
        correct: whether the answer is right, for accuracy; ``None`` when the task has no such notion.
        parts: named components of the reward.
        status: whether the verifier could judge.
        detail: a sentence about a failure, empty otherwise.
    """

    reward: float
    correct: bool | None = None
    parts: Mapping[str, float] = field(default_factory=dict[str, float])
    status: ScoreStatus = ScoreStatus.OK
    detail: str = ""

    @staticmethod
    def failed(detail: str, status: ScoreStatus = ScoreStatus.ERROR) -> Score:
        """Return the verdict of a verifier that failed: reward NaN, counted, never trained on."""
        return Score(reward=float("nan"), status=status, detail=detail)
