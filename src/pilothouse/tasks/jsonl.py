"""Any JSON-lines file of prompts and answers, scored by any Python function."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field, PrivateAttr

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.problems import Message, Problem, Score, ScoreStatus
from pilothouse.tasks.splits import SplitTask, fraction_of
from pilothouse.tasks.verification import guarded, load_function


class Jsonl(SplitTask):
    """Prompts from a file, one JSON object a line, such as ``{"prompt": "2+2=", "answer": "4"}``.

    A prompt is text or a list of chat messages ``{"role": ..., "content": ...}``. A reward function comes in two forms,
    told apart by a parameter's name. Both get only the arguments they name (all of them if they take ``**row``):

    - ``def score(prompt, response, answer, **row)``: once a response; ``row`` holds the line's other fields;
    - ``def score(prompts, responses, answers, rows)``: once a batch, with lists; returns a list of the same length.

    A reward is a finite number (a ``bool`` also counts towards accuracy), or a table of named parts whose sum it is.
    Whatever else happens is counted as a failure of the verifier, not as a reward.

    Args:
        data: the file.
        reward: the reward function, as ``module:function``; if empty, 1 for exactly the answer and 0 otherwise.
        test_data: file of the test split; prompts in it are left out of training.
        test_fraction: share of the distinct prompts that is held out for the test split when there is no ``test_data``;
            chosen by hash, so it does not depend on the order of lines.
        prompt_field: name of the prompt's field.
        answer_field: name of the answer's field.
        solution_field: name of the field with a worked response for warm starts, if lines have one.
    """

    name: ClassVar[str] = "jsonl"
    response_limit: ClassVar[int] = 512

    reward: str = ""
    test_data: str = ""
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    prompt_field: str = "prompt"
    answer_field: str = "answer"
    solution_field: str = "solution"
    _function: tuple[str, Callable[..., Any] | None] = PrivateAttr(default=("", None))

    def build_splits(self) -> dict[str, list[Problem]]:
        """Return the problems of both splits."""
        self._reward_function()  # a wrong name should not wait for the first response
        if not self.data:
            raise ConfigError("task 'jsonl' needs a file; give its path as data")
        train = self._read(self.data, "train")
        if self.test_data:
            test = self._read(self.test_data, "test")
            held = {_key(problem) for problem in test}
        else:
            order = sorted({_key(problem) for problem in train}, key=fraction_of)
            most = max(1, round(self.test_fraction * len(order))) if self.test_fraction else 0
            held = set(order[: min(most, len(order) - 1)])
            test = [problem for problem in train if _key(problem) in held]
        return {"train": [problem for problem in train if _key(problem) not in held], "test": test}

    def _read(self, name: str, split: str) -> list[Problem]:
        path = Path(name)
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read '{path}' ({error}); give a UTF-8 file of one JSON object a line") from error
        problems = [
            self._problem(line, f"{path}, line {number}", f"{split}-{number}")
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
        if not problems:
            raise DataError(f'\'{path}\' is empty; give at least one line like {{"prompt": "2+2=", "answer": "4"}}')
        return problems

    def _problem(self, line: str, where: str, name: str) -> Problem:
        try:
            row: Any = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"{where}: not JSON ({error}); write one object a line and no line breaks inside it"
            ) from None
        if not isinstance(row, dict):
            raise DataError(f'{where}: not a JSON object; write it like {{"prompt": ..., "answer": ...}}')
        row = cast(dict[str, Any], row)
        prompt = _prompt(row.pop(self.prompt_field, None))
        if prompt is None:
            raise DataError(
                f"{where}: field '{self.prompt_field}' must be text or a list of messages with role and content; "
                "add it, or set prompt_field to the name it has"
            )
        answer = row.pop(self.answer_field, None)
        if answer is None and not self.reward:
            raise DataError(f"{where}: field '{self.answer_field}' is missing; add it, or give a reward function")
        solution = row.pop(self.solution_field, None)
        return Problem(name, prompt, _text(answer), _text(solution), row)

    def _reward_function(self) -> Callable[..., Any] | None:
        if self._function[0] != self.reward:
            function = load_function(self.reward, "reward")
            names = inspect.signature(function).parameters
            if not {"response", "responses"} & set(names) and not _takes_any(function):
                raise ConfigError(
                    f"reward '{self.reward}' takes neither 'response' (one at a time) nor 'responses' (a batch); "
                    "name one of its parameters so"
                )
            self._function = (self.reward, function)
        return self._function[1]

    def score(self, problem: Problem, response: str) -> Score:
        """Return the verdict on one response."""
        return self.score_many([(problem, response)])[0]

    def score_many(self, pairs: Sequence[tuple[Problem, str]]) -> list[Score]:
        """Return the reward function's verdicts; one that raises or returns no finite number is a failed verdict."""
        function = self._reward_function()
        if function is None:
            return [_exact_match(problem, response) for problem, response in pairs]
        if not pairs:
            return []
        if "responses" in inspect.signature(function).parameters:
            return self._batch(function, pairs)
        scores: list[Score] = []
        for problem, response in pairs:
            fields = {**problem.info, "prompt": problem.prompt, "response": response, "answer": problem.answer}
            verdict = guarded(function, **_accepted(function, fields))
            failed = verdict.status is not ScoreStatus.OK
            scores.append(Score.failed(verdict.detail) if failed else as_score(verdict.value))
        return scores

    def _batch(self, function: Callable[..., Any], pairs: Sequence[tuple[Problem, str]]) -> list[Score]:
        fields = {
            "prompts": [problem.prompt for problem, _ in pairs],
            "responses": [response for _, response in pairs],
            "answers": [problem.answer for problem, _ in pairs],
            "rows": [dict(problem.info) for problem, _ in pairs],
        }
        verdict = guarded(lambda: list(function(**_accepted(function, fields))))
        if verdict.status is not ScoreStatus.OK:
            return [Score.failed(verdict.detail)] * len(pairs)
        if len(verdict.value) != len(pairs):
            detail = f"reward '{self.reward}' returned {len(verdict.value)} rewards for {len(pairs)} responses"
            return [Score.failed(f"{detail}; return one for each, in order")] * len(pairs)
        return [as_score(value) for value in verdict.value]


def as_score(value: Any) -> Score:
    """Return what a reward function answered as a verdict: a finite number, or a table of named parts to be summed."""
    if isinstance(value, Mapping):
        parts = {str(name): as_score(part) for name, part in cast(Mapping[Any, Any], value).items()}
        bad = [f"{name}: {part.detail}" for name, part in parts.items() if part.status is not ScoreStatus.OK]
        if bad or not parts:
            return Score.failed(bad[0] if bad else "the reward function returned a table without parts")
        return Score(
            sum(part.reward for part in parts.values()), None, {name: part.reward for name, part in parts.items()}
        )
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        return Score.failed(f"the reward function returned {value!r}, which is not a number; return a float or a bool")
    number = guarded(float, value)
    if number.status is not ScoreStatus.OK or not math.isfinite(number.value):
        return Score.failed(f"the reward function returned {value!r}, which is not a finite number")
    return Score(number.value, value if isinstance(value, bool) else None)


def _exact_match(problem: Problem, response: str) -> Score:
    correct = response.strip() == problem.answer.strip()
    return Score(float(correct), correct, {"correct": float(correct)})


def _takes_any(function: Callable[..., Any]) -> bool:
    return any(item.kind is item.VAR_KEYWORD for item in inspect.signature(function).parameters.values())


def _accepted(function: Callable[..., Any], fields: dict[str, Any]) -> dict[str, Any]:
    if _takes_any(function):
        return fields
    names = inspect.signature(function).parameters
    return {name: value for name, value in fields.items() if name in names}


def _key(problem: Problem) -> str:
    return json.dumps(problem.prompt, sort_keys=True)


def _text(value: Any) -> str:
    """Return a field as text: strings as they are, anything else as JSON."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _prompt(value: Any) -> str | tuple[Message, ...] | None:
    if isinstance(value, str):
        return value or None
    if not isinstance(value, list) or not value:
        return None
    messages: list[Message] = []
    for item in cast(list[Any], value):
        if not isinstance(item, dict) or not {"role", "content"} <= set(cast(dict[str, Any], item)):
            return None
        messages.append(cast(Message, item))
    return tuple(messages)
