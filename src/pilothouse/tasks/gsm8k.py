"""GSM8K's word problems, answers checked with math-verify in a killable child process.

Source: Cobbe et al., "Training Verifiers to Solve Math Word Problems", arXiv 2110.14168.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, PrivateAttr

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.problems import Problem, Score, ScoreStatus
from pilothouse.tasks.gsm8k_data import HUB, Row, from_folder, from_hub
from pilothouse.tasks.splits import SplitTask
from pilothouse.tasks.verification import Verifiers

_REQUEST = "Reason step by step, and put the final answer in \\boxed{}."
_MARK = re.compile(r"<<[^<>]*>>")
_BOX = re.compile(r"\\boxed\{([^{}]*)\}")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


class Gsm8k(SplitTask):
    """Word problems of grade-school mathematics: reasoning, then the final answer in a box.

    Args:
        data: folder with GSM8K's train.jsonl and test.jsonl; "openai/gsm8k", or empty, for the hub.
        chat: whether prompts are chat messages, for models with a chat template; plain text if not.
        deadline: seconds the verifier may take for a response.
        workers: verifiers at once; 0 for one a core.
    """

    name: ClassVar[str] = "gsm8k"
    response_limit: ClassVar[int] = 512

    chat: bool = False
    deadline: Annotated[float, Field(gt=0)] = 5.0
    workers: Annotated[int, Field(ge=0)] = 0
    _pool: Verifiers | None = PrivateAttr(default=None)

    def build_splits(self) -> dict[str, list[Problem]]:
        """Return the problems of both splits; a question of the training set is left out of the test split."""
        _require_math_verify()
        rows = from_hub() if self.data in ("", HUB) else from_folder(Path(self.data))
        if rows is None:
            raise DataError(
                f"cannot fetch {HUB} from the hub; install 'datasets' and connect, or give a folder as data"
            )
        known = {row.question for row in rows["train"]}
        rows["test"] = [row for row in rows["test"] if row.question not in known]
        return {
            split: [self._problem(f"{split}-{number}", row) for number, row in enumerate(found)]
            for split, found in rows.items()
        }

    def _problem(self, name: str, row: Row) -> Problem:
        reasoning, _, answer = row.answer.rpartition("####")
        answer = answer.strip().replace(",", "")
        prompt = f"{row.question}\n{_REQUEST}"
        return Problem(
            id=name,
            prompt=({"role": "user", "content": prompt},) if self.chat else f"{prompt}\n\n",
            answer=answer,
            solution=f"{_MARK.sub('', reasoning).strip()}\nThe final answer is \\boxed{{{answer}}}.",
        )

    def score(self, problem: Problem, response: str) -> Score:
        """Return the verdict on one response."""
        return self.score_many([(problem, response)])[0]

    def score_many(self, pairs: Sequence[tuple[Problem, str]]) -> list[Score]:
        """Return reward 1 where math-verify finds the answer equal, 0 where not; hangs and crashes are statuses.

        Raises:
            ConfigError: math-verify is not installed.
        """
        _require_math_verify()
        settings = (self.deadline, self.workers)
        if self._pool is None or (self._pool.deadline, self._pool.asked) != settings:
            self._pool = Verifiers(f"{__name__}:equal", deadline=self.deadline, workers=self.workers)
        verdicts = self._pool.run([(problem.answer, response) for problem, response in pairs])
        return [
            Score(float(verdict.value), bool(verdict.value), {"correct": float(verdict.value)})
            if verdict.status is ScoreStatus.OK
            else Score.failed(verdict.detail, verdict.status)
            for verdict in verdicts
        ]

    def answer_of(self, response: str) -> str:
        """Return what is in the last box, or else the last number."""
        boxes, numbers = _BOX.findall(response), _NUMBER.findall(response)
        return (boxes[-1].strip() if boxes else numbers[-1] if numbers else "").replace(",", "").rstrip(".")

    def source(self) -> str:
        """Return one line that says where the problems came from."""
        return f"GSM8K in {self.data}" if self.data not in ("", HUB) else f"GSM8K from the hub ({HUB})"


def equal(answer: str, response: str) -> bool:
    """Return whether the last answer in a response equals ``answer``; runs in a child, which has the deadline."""
    from math_verify import parse, verify

    found = parse(response, parsing_timeout=None)  # type: ignore[arg-type]
    return bool(verify(parse(answer, parsing_timeout=None), found, timeout_seconds=None, raise_on_error=True))  # type: ignore[arg-type]


def _require_math_verify() -> None:
    if importlib.util.find_spec("math_verify") is None:
        raise ConfigError(
            "task 'gsm8k' checks answers with math-verify; install it with pip install 'pilothouse[math]'"
        )
