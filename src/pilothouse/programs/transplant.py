"""Transplants: a chain written under a hint, carried sentence by sentence to the prompt without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Request, Sampled, Tokens
from pilothouse.programs.base import Steps
from pilothouse.programs.chains import Chain, Stem
from pilothouse.programs.studies import Branching, Study


class Transplant(Branching):
    """Continue the first i sentences of a hinted chain M times from the prompt without the hint, for i = 0..n.

    The chain's last sentence, which ends the response, is not transplanted. The posed problem is the one without the
    hint. With ``sandwich`` the chain is one written without the hint, and at each of its points the next sentence alone
    is drawn from the hinted prompt before the continuation goes on without it.

    Args:
        hint: text before the prompt that makes it the hinted one.
        hinted: token ids of the hinted prompt, where it is not simply the hint and the prompt.
        mention: text that the chain must not contain; empty takes the hint.
        n: continuations M of each point.
        longest: most sentences of a chain.
        sandwich: the reverse test.

    Source: Thought Branches, arXiv 2510.27484; C_run_faith_transplantation.py of its official code.
    """

    name: ClassVar[str] = "transplant"
    hint: str = ""
    hinted: tuple[int, ...] = ()
    mention: str = ""
    n: Annotated[int, Field(ge=1)] = 50
    longest: Annotated[int, Field(ge=2)] = 39
    sandwich: bool = False

    def __call__(self, posed: Posed) -> Steps:
        """Yield the chain if none is given, then every point.

        Raises:
            ConfigError: there is no hint.
            DataError: the chain given mentions the hint, or is too long or too short.
        """
        if not (self.hint or self.hinted):
            raise ConfigError("a transplant needs a hint: give the text before the prompt as --program.hint")
        study = self.study(posed)
        hinted = self.hinted or posed.codec.encode(self.hint) + posed.prompt
        if self.chain or self.sandwich:
            chain = yield from self.opening(study)
            if self.chain and (fault := self._fault(chain)):
                raise DataError(f"{fault}: give another chain")
        else:
            (reply,) = yield [study.ask(Stem(), prompt=hinted)]
            assert isinstance(reply, Sampled)
            chain = self._adopt(study, reply.only, hinted)
        nodes = study.plant(chain)
        points = chain.points
        requests: list[Request] = [study.ask(chain.first(kept), self.n) for kept in points]
        if self.sandwich:
            requests += [study.ask(chain.first(kept), self.n, prompt=hinted) for kept in points]
        replies = yield requests
        for kept, reply in zip(points, replies, strict=False):
            study.finish_all(chain.first(kept), reply, kept=kept, node=nodes[kept], arm="plain")
        if self.sandwich:
            drawn = [reply.continuations for reply in replies[len(points) :] if isinstance(reply, Sampled)]
            yield from self._steered(study, chain, nodes, drawn)
        return study.result()

    def _adopt(self, study: Study, sample: Continuation, hinted: Tokens) -> Chain:
        """Return the chain that was sampled; one that cannot be studied leaves only its prompt to continue."""
        study.episodes.append(study.episode(Stem(), sample, hinted))
        # Under the prompt without the hint, these tokens are nobody's choice: they are given, not trained on.
        chain = Chain.read(Stem.written(sample.tokens), self.sentences, study.posed.codec)
        fault = self._fault(chain)
        if fault:
            study.trace.note(f"{fault}: only the prompt was continued")
        return Chain(Stem(), (), ()) if fault else chain

    def _fault(self, chain: Chain) -> str:
        said, mention = " ".join(chain.sentences), (self.mention or self.hint).strip()
        if mention and mention.casefold() in said.casefold():
            return f"the chain mentions the hint ({mention!r}), so it tells where its answer comes from"
        if len(chain.sentences) > self.longest:
            return f"the chain has {len(chain.sentences)} sentences, more than the {self.longest} allowed"
        if len(chain.sentences) < 2:
            return f"the chain has {len(chain.sentences)} sentences, and a transplant needs at least 2"
        return ""

    def _steered(
        self, study: Study, chain: Chain, nodes: Sequence[int], drawn: Sequence[Sequence[Continuation]]
    ) -> Steps:
        """Go on without the hint from each point's next sentence, drawn under it."""
        starts: list[tuple[int, Stem, str]] = []
        for kept, samples in enumerate(drawn):
            for sample in samples:
                heard = study.read(sample)
                if heard.sentences:
                    next_one = Stem.written(heard.first(1).tokens)
                    starts.append((kept, chain.first(kept) + next_one, heard.sentences[0]))
        replies = yield [study.ask(stem) for _, stem, _ in starts]
        for (kept, stem, said), reply in zip(starts, replies, strict=True):
            study.finish_all(stem, reply, kept=kept, node=nodes[kept], said=[said], arm="steered")
        return study.result()
