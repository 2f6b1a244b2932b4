"""TreePO's sampler: a group of responses grown segment by segment as a tree, so that shared beginnings cost once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from pilothouse.core.episodes import Segment
from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import SLOT
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Reply, Sample, Sampled, StopReason
from pilothouse.core.results import Result
from pilothouse.programs.base import Program, Sampling, Steps
from pilothouse.programs.branching import Share, children
from pilothouse.programs.choose import vote
from pilothouse.programs.early_stop import Answered, EarlyStop, Repetition
from pilothouse.programs.fallback import ANSWERED, EOS, Fallback
from pilothouse.programs.paths import Path
from pilothouse.programs.sharing import ROOT, accounting, is_consistent, label_of
from pilothouse.programs.stepping import Stepping
from pilothouse.programs.trace import Trace


def _pair(value: Any) -> Any:
    if isinstance(value, str):
        value = [piece.strip() for piece in value.split(",")]
        value = value * 2 if len(value) == 1 else value
    return (value, value) if isinstance(value, int) else value


def _names(value: Any) -> Any:
    return [piece.strip() for piece in value.split(",") if piece.strip()] if isinstance(value, str) else value


class TreePO(Program):
    """Sample w responses to a prompt as a tree (Li et al. 2025, arXiv 2508.17445, algorithm 1).

    Every round decodes one segment of each open path; paths that end leave, the others fork so that w responses come
    out. If all have ended and responses are missing, the tree grows on from cuts of finished ones. Each segment's label
    is its node: the branch ids from the root, as in "1.0.2". The answer is a majority vote over the responses that
    ended by themselves.

    Args:
        width: responses wanted (w).
        branch: children an open path has (N).
        init_branch: children of the prompt: a number, or a range "2,8" to draw from for each prompt alike.
        stepping: the segments: ``tokens`` is their length (l), ``max_steps`` how many there are at the most (d).
        share: how a round's children are shared among the open paths.
        fallback: how a tree that came out too narrow grows on.
        transfer: whether the children of paths that end early go to the open ones; without, long responses are less
            over-represented.
        stops: what ends a path besides its own end and its length, tried in this order.
        sampling: how tokens are drawn.
    """

    name: ClassVar[str] = "treepo"
    labels: ClassVar[frozenset[str]] = frozenset({"tree"})
    width: Annotated[int, Field(ge=1)] = 16
    branch: Annotated[int, Field(ge=1)] = 2
    init_branch: Annotated[tuple[int, int], BeforeValidator(_pair)] = (2, 2)
    stepping: Stepping = Stepping(tokens=8, max_steps=128)
    share: Share = Share()
    fallback: Fallback = Fallback()
    transfer: bool = True
    stops: Annotated[list[Annotated[EarlyStop, SLOT]], BeforeValidator(_names)] = [Repetition(), Answered()]
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _roots_fit(self) -> Self:
        low, high = self.init_branch
        if not 1 <= low <= high <= self.width:
            raise ValueError(
                f"a tree of width {self.width} cannot begin with {low} to {high} branches: "
                f"set init_branch to a number, or a range such as 2,8, from 1 to the width"
            )
        return self

    @property
    def group_size(self) -> int:
        """The width; 0 when there is no fallback, because fewer responses may come out."""
        return self.width if self.fallback.cut != "off" or self.width == 1 else 0

    def sized(self, samples: int) -> Self:
        """Return a tree of width ``samples``, with no more first branches than that."""
        low, high = self.init_branch
        return self.model_copy(update={"width": samples, "init_branch": (min(low, samples), min(high, samples))})

    def fitted(self, *, limit: int, stop: tuple[str, ...], step_end: str) -> Self:
        """Return the program with the task's conventions where it sets none of its own.

        Raises:
            ConfigError: all segments together are shorter than a response may be.
        """
        ready = super().fitted(limit=limit, stop=stop, step_end=step_end)
        reach, wanted = ready.stepping.tokens * ready.stepping.max_steps, ready.sampling.max_tokens
        if 0 < reach < wanted:
            raise ConfigError(
                f"{ready.stepping.max_steps} segments of {ready.stepping.tokens} tokens end every response after "
                f"{reach} of the {wanted} tokens it may have: raise stepping.tokens or stepping.max_steps, or set "
                f"sampling.max_tokens to {reach}"
            )
        return ready

    def __call__(self, posed: Posed) -> Steps:
        """Yield a request for a segment of every open path until the tree is full; answer with the vote."""
        tree = _Tree(self, posed)
        low, high = self.init_branch
        open_branches = tree.fork(_Branch(), int(posed.rng.integers(low, high + 1)))
        while open_branches:
            replies: list[Reply] = yield [tree.request(branch) for branch in open_branches]
            alive, ended = tree.grow(open_branches, replies)
            open_branches = tree.spread(alive, ended) if alive else tree.fall_back()
        return tree.result()


@dataclass(frozen=True)
class _Branch:
    """An open path and where it is in the tree.

    Args:
        path: its tokens so far.
        ids: branch ids from the root; one more than the path has segments while a segment is being sampled.
        seed: seed of its draws. A path keeps one seed as it grows, so that it draws what an independent sample of that
            seed would.
    """

    path: Path = field(default_factory=Path)
    ids: tuple[int, ...] = ()
    seed: int | None = None


@dataclass
class _Tree:
    """The tree of one problem while it grows."""

    program: TreePO
    posed: Posed
    trace: Trace = field(default_factory=lambda: Trace(TreePO.name))
    finished: list[_Branch] = field(default_factory=list[_Branch])
    reasons: list[str] = field(default_factory=list[str])
    nodes: dict[str, int] = field(default_factory=lambda: {ROOT: 0})
    born: Counter[str] = field(default_factory=Counter[str])
    forks: Counter[int] = field(default_factory=Counter[int])
    decoded: int = 0
    segments: int = 0
    cuts: int = 0

    def request(self, branch: _Branch) -> Sample:
        """Return the request for the next segment of a path."""
        asked = self.program.stepping.request(self.posed, branch.path, self.program.sampling)
        return replace(asked, seed=branch.seed)

    def fork(self, branch: _Branch, count: int, *, anew: bool = False) -> list[_Branch]:
        """Return ``count`` children of a path; the first draws on with its parent's seed unless all begin anew."""
        label = label_of(branch.ids)
        self.forks[count] += 1
        made: list[_Branch] = []
        for at in range(count):
            seed = None if at or anew else branch.seed
            seed = int(self.posed.rng.integers(1 << 63)) if seed is None else seed
            made.append(replace(branch, ids=(*branch.ids, self.born[label]), seed=seed))
            self.born[label] += 1
        return made

    def grow(self, branches: Sequence[_Branch], replies: Sequence[Reply]) -> tuple[list[_Branch], int]:
        """Add the sampled segments; return the paths that are still open and how many ended."""
        alive: list[_Branch] = []
        tokens = 0
        for branch, reply in zip(branches, replies, strict=True):
            assert isinstance(reply, Sampled)
            sample, label = reply.only, label_of(branch.ids)
            tokens += len(sample.tokens)
            node = self.trace.add(branch.path.node, sample.text, len(sample.tokens), branch=label)
            self.nodes[label] = node
            path = self.program.stepping.grow(branch.path, sample, self.program.sampling, label=label, node=node)
            path, reason, answer = self._judged(path, sample.text)
            grown = replace(branch, path=path)
            if reason:
                self.finished.append(grown)
                self.reasons.append(reason)
                self.trace.mark(node, state="finished", reason=reason, answer=answer)
            else:
                alive.append(grown)
        self.decoded += tokens
        self.segments += len(branches)
        ended = len(branches) - len(alive)
        self.trace.rounds.append(
            {"sampled": len(branches), "tokens": tokens, "ended": ended, "finished": len(self.finished)}
        )
        return alive, ended

    def _judged(self, path: Path, segment: str) -> tuple[Path, str, str]:
        """Return the path, why it ended (empty if it goes on) and its final answer."""
        how = self.program.sampling
        response = self.posed.codec.decode(path.tokens)
        ended = path.ended in (StopReason.EOS, StopReason.STOP)
        answer = self.posed.answer_of(response) if path.ended is not StopReason.ERROR else ""
        for stop in self.program.stops:
            if stop(segment=segment, response=response, answer=answer, ended=ended):
                return replace(path, ended=path.ended or stop.ends_as), stop.reason or stop.name, answer
        if ended:
            return path, EOS, answer
        if path.ended is StopReason.LENGTH:
            room = not 0 < how.max_tokens <= len(path.tokens)
            return path, "depth" if room and len(path.steps) >= self.program.stepping.max_steps else "length", answer
        return path, "error" if path.ended else "", answer

    def spread(self, alive: Sequence[_Branch], ended: int) -> list[_Branch]:
        """Return the children of the open paths."""
        program = self.program
        total = children(
            program.width,
            program.branch,
            alive=len(alive),
            finished=len(self.finished),
            just_finished=ended,
            transfer=program.transfer,
        )
        shares = program.share([branch.path for branch in alive], total)
        return [child for branch, share in zip(alive, shares, strict=True) for child in self.fork(branch, share)]

    def fall_back(self) -> list[_Branch]:
        """Return new paths from cuts of finished responses, or from the prompt if none can be cut."""
        program, rng = self.program, self.posed.rng
        missing = program.width - len(self.finished)
        if program.fallback.cut == "off" or missing <= 0:
            return []
        ends = zip(self.finished, self.reasons, strict=True)
        sources = [branch for branch, reason in ends if program.fallback.takes(reason) and branch.path.tokens]
        order = rng.permutation(len(sources))[: -(-missing // program.branch)]
        starts = [self._cut(sources[int(at)]) for at in order]
        made: list[_Branch] = []
        for start in starts or [_Branch()]:
            made += self.fork(start, min(program.branch, missing - len(made)), anew=True)
        self.cuts += len(made)
        return made

    def _cut(self, source: _Branch) -> _Branch:
        """Return the beginning of a finished response as an open path; the response itself stays as it is."""
        path = source.path
        place = self.program.fallback.position(path, self.posed.rng)
        whole = sum(step.stop <= place for step in path.steps)
        ids = source.ids[:whole]
        kept = replace(path.cut(whole), node=self.nodes[label_of(ids)])
        if place == len(kept.tokens):
            return _Branch(kept, ids)
        # Inside a segment: what is kept of it becomes a node of its own, because the segment's label means all of it.
        start, parent = len(kept.tokens), label_of(ids)
        ids = (*ids, self.born[parent])
        self.born[parent] += 1
        label, tokens = label_of(ids), path.tokens[start:place]
        node = self.trace.add(kept.node, self.posed.codec.decode(tokens), len(tokens), branch=label, copied=True)
        self.nodes[label] = node
        steps = (*kept.steps, Segment(start, place, label))
        return _Branch(Path(path.tokens[:place], path.logprobs[:place], steps, node=node), ids)

    def result(self) -> Result:
        """Return the episodes, the vote's answer and the record of what the tree cost."""
        paths = [branch.path for branch in self.finished]
        assert is_consistent(paths), "two paths of one prompt share a node but not its tokens"
        how = self.program.sampling
        episodes = tuple(
            replace(path.episode(self.posed, how.temperature), tags=(reason,))
            for path, reason in zip(paths, self.reasons, strict=True)
        )
        whole = [reason in (ANSWERED, EOS) for reason in self.reasons]
        chosen = vote([self.posed.answer_of(e.text) if ok else "" for e, ok in zip(episodes, whole, strict=True)])
        self.trace.choose(paths[chosen].node)
        self.trace.note(self.program.stepping.note(paths))
        record = accounting(
            paths, self.reasons, decoded=self.decoded, segments=self.segments, forks=self.forks, cuts=self.cuts
        )
        return Result(episodes[chosen].text, episodes, {**self.trace.to_dict(), "accounting": record})
