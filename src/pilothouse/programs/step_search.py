"""What searches over steps share: sample the next step of many paths at once, score them, keep the record."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self, TypeAlias, TypeVar

from pydantic import model_validator

from pilothouse.core.errors import DataError, EngineError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Reply, Request, Sample, Sampled, StopReason, Tokens
from pilothouse.core.results import Result
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.paths import Path
from pilothouse.programs.resampling import logit
from pilothouse.programs.scores import Aggregation, aggregate, ask, probability
from pilothouse.programs.stepping import Stepping
from pilothouse.programs.trace import Trace

ReturnT = TypeVar("ReturnT")
#: A part of a program: yields requests, is resumed with replies, returns what it was for.
Part: TypeAlias = Generator[list[Request], list[Reply], ReturnT]


@dataclass
class Board:
    """One problem's search under way.

    Args:
        posed: the problem.
        trace: the record of the search.
    """

    posed: Posed
    trace: Trace

    def seed(self) -> int:
        """Return a seed for a path's samples.

        A path keeps its seed from step to step: an engine whose draws depend on seed and position alone then samples
        the steps of one path as it would have sampled the whole response. A copy takes a seed of its own.
        """
        return int(self.posed.rng.integers(2**63))


class StepSearch(Program):
    """A program that extends partial responses by steps and asks a process reward what each is worth.

    Args:
        aggregation: how the scores of a path's steps become one.
        score_range: the scorer's own range, mapped linearly to [0, 1]: (0, 1) for a probability, (-1, 1) for tanh.
        sampling: how tokens are drawn.
        stepping: where a step ends.
    """

    scores: ClassVar[bool] = True
    aggregation: Aggregation = "model"
    score_range: tuple[float, float] = (0.0, 1.0)
    sampling: Sampling = Sampling(temperature=0.8)
    stepping: Stepping = Stepping()

    @model_validator(mode="after")
    def _range_ascends(self) -> Self:
        low, high = self.score_range
        if not low < high:
            raise ValueError(f"score_range ({low:g}, {high:g}) is no range: give the lower end first, such as (-1, 1)")
        return self

    def score_of(self, path: Path) -> float:
        """Return the aggregated score of a path's steps, in [0, 1]."""
        return aggregate(path.scores, self.aggregation)

    def extend(self, board: Board, asks: Sequence[tuple[Path, int]], names: Sequence[str]) -> Part[list[Path]]:
        """Sample one step for each path that is alive, and score it; what every path becomes, in the same order.

        Args:
            board: the search.
            asks: paths, each with its seed.
            names: what each is called in messages: "particle 3".

        Raises:
            DataError: a score is not a number in the scorer's range.
        """
        posed = board.posed
        alive = [at for at, (path, _) in enumerate(asks) if path.alive]
        requests: list[Request] = [self._request(posed, *asks[at]) for at in alive]
        replies = yield requests
        paths = [path for path, _ in asks]
        for at, reply in zip(alive, replies, strict=True):
            assert isinstance(reply, Sampled)
            paths[at] = self._grown(board, paths[at], reply.only, names[at])
        scored = [at for at in alive if paths[at].ended is not StopReason.ERROR]
        distinct: dict[Tokens, int] = {}  # copies that said the same are scored once
        for at in scored:
            distinct.setdefault(paths[at].tokens, at)
        worths = yield [ask(posed, paths[at]) for at in distinct.values()]
        found = {
            tokens: probability(reply, names[at], self.score_range)
            for (tokens, at), reply in zip(distinct.items(), worths, strict=True)
        }
        for at in alive:
            failed = paths[at].ended is StopReason.ERROR
            paths[at] = paths[at].scored(0.0 if failed else found[paths[at].tokens])
            score = self.score_of(paths[at])
            board.trace.mark(paths[at].node, score=score, weight=logit(score))
        return paths

    def _request(self, posed: Posed, path: Path, seed: int) -> Sample:
        return replace(self.stepping.request(posed, path, self.sampling), seed=seed)

    def _grown(self, board: Board, path: Path, sample: Continuation, name: str) -> Path:
        """Return the path with its new step, on record."""
        node = board.trace.add(path.node, sample.text, len(sample.tokens))
        grown = self.stepping.grow(path, sample, self.sampling, node=node)
        if not grown.alive:
            board.trace.mark(node, state="finished", answer=board.posed.answer_of(_text(board.posed, grown)))
        if grown.ended is StopReason.ERROR:
            board.trace.note(f"{name} failed and weighs nothing: {sample.detail or 'the engine gave no reason'}")
        return grown

    def refuse_nothing(self, board: Board, paths: Sequence[Path]) -> None:
        """Raise if several first steps were sampled and every response ended there without a word.

        Raises:
            EngineError: the engine failed on all of them.
            DataError: the policy ended all of them at once.
        """
        if any(path.alive or _text(board.posed, path) for path in paths):
            return
        if all(path.ended is StopReason.ERROR for path in paths):
            raise EngineError(f"no response to problem '{board.posed.id}' could begin: {board.trace.notes[-1]}")
        sentence = (
            f"every response to problem '{board.posed.id}' ended at once and is empty: the policy answers this prompt "
            "with its end-of-sequence token; check the prompt's form (a chat template, say) and sampling.stop"
        )
        if len(paths) > 1:
            raise DataError(sentence)
        board.trace.note(sentence)  # a single particle is plain sampling, which may say nothing

    def conclude(self, board: Board, paths: Sequence[Path], chosen: int) -> Result:
        """Return the result of a search that ended with these responses.

        Args:
            board: the search.
            paths: its finished responses.
            chosen: which of them is the answer.
        """
        trace, kept = board.trace, set[int]()
        for path in paths:
            at: int | None = path.node
            while at is not None and at not in kept:
                kept.add(at)
                at = trace.nodes[at]["parent"]
        for node in trace.nodes:
            if node["id"] not in kept:
                trace.mark(node["id"], state="pruned")
        trace.choose(paths[chosen].node)
        trace.note(self.stepping.note(paths))
        episodes = tuple(path.episode(board.posed, self.sampling.temperature) for path in paths)
        return Result(episodes[chosen].text, episodes, trace.to_dict())


def _text(posed: Posed, path: Path) -> str:
    return posed.codec.decode(path.tokens)


def together(parts: Sequence[Part[ReturnT]]) -> Part[list[ReturnT]]:
    """Run several parts of a program side by side: what all of them ask goes out as one list.

    Args:
        parts: the parts; what each returns comes back in the same order.
    """
    results: dict[int, ReturnT] = {}
    waiting: dict[int, list[Request]] = {}
    replies: dict[int, list[Reply] | None] = dict.fromkeys(range(len(parts)))
    while replies:
        for at, reply in replies.items():
            try:
                waiting[at] = next(parts[at]) if reply is None else parts[at].send(reply)
            except StopIteration as stop:
                results[at] = stop.value
                waiting.pop(at, None)
        if not waiting:
            break
        answered = iter((yield [request for requests in waiting.values() for request in requests]))
        replies = {at: [next(answered) for _ in requests] for at, requests in waiting.items()}
    return [results[at] for at in range(len(parts))]
