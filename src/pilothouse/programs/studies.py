"""What all studies of a chain of thought share: where the chain comes from, its branches, and their record."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pilothouse.core.branches import Branch
from pilothouse.core.episodes import Episode, Segment
from pilothouse.core.errors import DataError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Reply, Request, Sample, Sampled, StopReason, Tokens
from pilothouse.core.results import Result
from pilothouse.core.sentences import Sentences
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.chains import Chain, Stem
from pilothouse.programs.choose import vote
from pilothouse.programs.paths import Path
from pilothouse.programs.trace import Trace


@dataclass
class Study:
    """The branches of one chain under way: their requests, their record and their episodes.

    Args:
        posed: the problem.
        how: how tokens are drawn; ``max_tokens`` limits the whole response.
        sentences: where sentences end.
        trace: the record.
        episodes: finished responses, in the order they were finished.
        nodes: ids of the trace's branches, and their answers.
    """

    posed: Posed
    how: Sampling
    sentences: Sentences
    trace: Trace
    episodes: list[Episode] = field(default_factory=list[Episode])
    nodes: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def ask(self, stem: Stem, n: int = 1, *, prompt: Tokens | None = None, most: int = 0) -> Sample:
        """Return the request for ``n`` continuations of a stem.

        Args:
            stem: what comes after the prompt.
            n: how many.
            prompt: another prompt than the problem's.
            most: most tokens of a continuation; 0 leaves it to the whole response's limit.
        """
        how = self.how
        left = max(1, how.max_tokens - len(stem.tokens)) if how.max_tokens else 0
        size = min(most, left) if most and left else most or left
        return Sample(
            (self.posed.prompt if prompt is None else prompt) + stem.tokens,
            n=n,
            max_tokens=size or None,
            temperature=how.temperature,
            top_p=how.top_p,
            top_k=how.top_k,
            stop=how.stop,
        )

    def full(self, stem: Stem) -> bool:
        """Return whether a stem leaves no room for a continuation within the response's limit."""
        return 0 < self.how.max_tokens <= len(stem.tokens)

    def read(self, sample: Continuation) -> Chain:
        """Return what was sampled, cut into sentences."""
        return Chain.read(Stem.sampled(sample), self.sentences, self.posed.codec)

    def plant(self, chain: Chain) -> list[int]:
        """Record a chain, a node a sentence, and return the node after each number of sentences."""
        nodes, start = [0], 0
        for number, (said, end) in enumerate(zip(chain.sentences, chain.ends, strict=True), 1):
            nodes.append(self.trace.add(nodes[-1], said, end - start, sentence=number))
            start = end
        return nodes

    def finish(
        self,
        stem: Stem,
        sample: Continuation,
        *,
        kept: int,
        node: int,
        said: Sequence[str] = (),
        prompt: Tokens | None = None,
        **facts: Any,
    ) -> None:
        """Record a continuation that ended its response, as a branch and as an episode.

        Args:
            stem: what it continues.
            sample: the continuation.
            kept: sentences of the studied chain that stayed.
            node: the trace's node it grows from.
            said: sentences of the stem that were sampled too.
            prompt: another prompt than the problem's.
            facts: what else the record should tell.
        """
        episode = self.episode(stem, sample, prompt)
        whole = sample.stop_reason not in (StopReason.LENGTH, StopReason.ERROR)
        answer = self.posed.answer_of(episode.text) if whole else ""
        sentences = [*said, *self.sentences.split(sample.text)]
        made = self.trace.add(
            node,
            sample.text,
            len(sample.tokens),
            state="finished",
            kept=kept,
            sentences=sentences,
            answer=answer,
            **facts,
        )
        if sample.stop_reason is StopReason.ERROR:
            self.trace.note(f"a continuation could not be sampled ({sample.detail}); it counts as an abstention")
        self.nodes.append((made, answer))
        self.episodes.append(episode)

    def finish_all(self, stem: Stem, reply: Reply, *, kept: int, node: int, **facts: Any) -> None:
        """Record every continuation of a reply (see ``finish``)."""
        assert isinstance(reply, Sampled)
        for sample in reply.continuations:
            self.finish(stem, sample, kept=kept, node=node, **facts)

    def episode(self, stem: Stem, sample: Continuation, prompt: Tokens | None = None) -> Episode:
        """Return the whole response as an episode; what the policy did not choose is masked."""
        steps = (Segment(0, len(stem.tokens), "kept"),) if stem.tokens else ()
        path = Path(stem.tokens, stem.logprobs, steps).grown(sample, sample.stop_reason, label="resampled")
        mask = stem.chosen + (True,) * len(sample.tokens)
        prompt = self.posed.prompt if prompt is None else prompt
        return replace(path.episode(self.posed, self.how.temperature), action_mask=mask, prompt=prompt)

    def result(self) -> Result:
        """Return the answer that most finished responses give, with all of them as episodes."""
        chosen = vote([answer for _, answer in self.nodes])
        self.trace.choose(self.nodes[chosen][0])
        # Every branch is an episode, and they were recorded together; a chain sampled first stands before them.
        text = self.episodes[len(self.episodes) - len(self.nodes) + chosen].text
        return Result(text, tuple(self.episodes), self.trace.to_dict())


class Branching(Program):
    """A program that studies one chain of thought, given or sampled first, by continuing its prefixes.

    Args:
        chain: the chain to study, as text; empty samples one.
        sentences: where sentences end.
        sampling: how tokens are drawn; ``max_tokens`` limits the whole response.
    """

    chain: str = ""
    sentences: Sentences = Sentences()
    sampling: Sampling = Sampling()

    def fitted(self, *, limit: int, stop: tuple[str, ...], step_end: str) -> Self:
        """Return the program with the task's limit, stop and step end where it sets none of its own."""
        ready = super().fitted(limit=limit, stop=stop, step_end=step_end)
        return ready.model_copy(update={"sentences": self.sentences.fitted(step_end)})

    def study(self, posed: Posed) -> Study:
        """Return an empty record for a problem."""
        return Study(posed, self.sampling, self.sentences, Trace(self.name))

    def opening(self, study: Study, index: int = 1) -> Generator[list[Request], list[Reply], Chain]:
        """Return the chain, given or sampled now; a sampled one is kept as an episode.

        Args:
            study: the record.
            index: a sentence, counted from 1, that the chain must have. One that was sampled without it is noted: the
                program then has a shorter prefix to continue.

        Raises:
            DataError: the chain that was given has fewer than two sentences, or no such sentence.
        """
        if self.chain:
            stem = Stem.written(study.posed.codec.encode(self.chain))
            chain = Chain.read(stem, self.sentences, study.posed.codec)
            if fault := _fault(chain, index):
                raise DataError(
                    f"{fault}: give a longer chain, or set --program.sentences.mark and --program.sentences.shortest "
                    "to how its sentences end"
                )
            return chain
        (reply,) = yield [study.ask(Stem())]
        assert isinstance(reply, Sampled)
        study.episodes.append(study.episode(Stem(), reply.only))
        chain = study.read(reply.only)
        study.trace.note(_fault(chain, index))
        return chain


def _fault(chain: Chain, index: int) -> str:
    count = len(chain.sentences)
    if count < 2:
        return f"the chain's sentences number {count}, and a study needs at least 2"
    return f"the chain has {count} sentences and no sentence {index}" if index > count else ""


def read_branches(trace: Mapping[str, Any], **facts: Any) -> dict[int, list[Branch]]:
    """Return the branches in a study's trace, by the number of sentences they keep.

    Args:
        trace: the ``trace`` of a result.
        facts: only branches of which these facts are recorded, such as ``arm="baseline"``.
    """
    found: dict[int, list[Branch]] = {}
    for node in trace["nodes"]:
        if "kept" in node and all(node.get(name) == value for name, value in facts.items()):
            branch = Branch.of(node["kept"], node["sentences"], node["answer"] or None, node.get("removals", 0))
            found.setdefault(branch.kept, []).append(branch)
    return found
