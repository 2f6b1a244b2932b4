"""Monte Carlo tree search over steps: a tree of partial responses, grown where the value and the policy look best."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from pilothouse.core.episodes import Episode
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Reply, Sampled, StopReason, Valued
from pilothouse.core.results import Result
from pilothouse.programs.base import Program, Sampling, Steps
from pilothouse.programs.paths import Path
from pilothouse.programs.puct import INVALID, Node, decode, fruitful, prior, select
from pilothouse.programs.scores import OUTCOME, ask, worth
from pilothouse.programs.stepping import Stepping
from pilothouse.programs.trace import Trace


class MCTS(Program):
    """Tree search with a value function (AlphaMath, Chen et al. 2024, arXiv 2405.03553, section 3.2).

    A simulation walks from the root to a leaf by PUCT, samples its next steps, and backs up what the leaf is worth. A
    response that ends is backed up the moment it is sampled: by its reward, as +1 or -1, where the tree makes training
    data; by its value where the answer is not known. One that ends without an answer (cut off, too many steps) is worth
    -1. The tree is exhausted when every response in it has ended.

    Every response that ended is an episode. Its segments are its steps, each with the Q that the tree found for it.

    Args:
        n_sims: simulations, each of which samples the next steps of one state.
        n_children: steps sampled a simulation.
        c: weight of exploration.
        terminals: what a response that ended is worth: "value" asks the value function, "outcome" the task's verifier,
            which only training may: a reward above 0 is +1, any other -1.
        duplicates: whether steps sampled twice at a state are two children or one.
        keep: states kept at each depth when the answer is read off the tree.
        sampling: how tokens are drawn.
        stepping: where a step ends; a response of ``max_steps`` steps ends.
    """

    name: ClassVar[str] = "mcts"
    scores: ClassVar[bool] = True
    values_steps: ClassVar[bool] = True
    n_sims: Annotated[int, Field(ge=1)] = 40
    n_children: Annotated[int, Field(ge=1)] = 5
    c: Annotated[float, Field(ge=0)] = 1.25
    terminals: Literal["value", "outcome"] = "value"
    duplicates: Literal["keep", "remove"] = "keep"
    keep: Annotated[int, Field(ge=1)] = 1
    sampling: Sampling = Sampling()
    stepping: Stepping = Stepping(max_steps=8)

    def sized(self, samples: int) -> Self:
        """Return the search whose steps would make up ``samples`` responses of the most steps."""
        return self.model_copy(update={"n_sims": max(1, round(samples * self.stepping.max_steps / self.n_children))})

    def __call__(self, posed: Posed) -> Steps:
        """Yield a state's value and next steps, simulation by simulation; the answer is what ``decode`` finds."""
        trace, root = Trace(self.name), Node(Path())
        for _ in range(self.n_sims):
            leaf = select(root, self.c, posed.rng)
            if leaf is None:
                break
            value, steps = yield [
                ask(posed, leaf.path),
                self.stepping.request(posed, leaf.path, self.sampling, self.n_children),
            ]
            assert isinstance(steps, Sampled)
            fresh = self._expand(leaf, steps, posed, trace)
            ended = [child for child in fresh if child.answer]
            if ended:
                verdicts = yield [ask(posed, child.path, self._judge) for child in ended]
                for child, verdict in zip(ended, verdicts, strict=True):
                    self._settle(child, verdict, trace)
            for child in fresh:
                if child.terminal and not child.answer:
                    child.back_up(INVALID)
            leaf.back_up(worth(value, f"state {leaf.path.node}") if fresh else INVALID)
        return self._conclude(root, posed, trace)

    @property
    def _judge(self) -> str:
        return OUTCOME if self.terminals == "outcome" else "value"

    def _expand(self, leaf: Node, steps: Sampled, posed: Posed, trace: Trace) -> list[Node]:
        """Give a leaf its children; one that gets none is the end of its branch."""
        for sample in steps.continuations:
            if sample.stop_reason is StopReason.ERROR:
                trace.note(f"a step failed and is left out: {sample.detail or 'the engine gave no reason'}")
                continue
            path = self.stepping.grow(leaf.path, sample, self.sampling)
            if self.duplicates == "remove" and any(path.tokens == child.path.tokens for child in leaf.children):
                continue
            chance = prior(sample.logprobs)
            answer = path.answer(posed)
            made = trace.add(leaf.path.node, sample.text, len(sample.tokens), prior=chance, answer=answer)
            leaf.children.append(Node(replace(path, node=made), leaf, chance, not path.alive, answer))
        leaf.terminal = not leaf.children
        return leaf.children

    def _settle(self, child: Node, verdict: Reply, trace: Trace) -> None:
        """Back up what a response that ended with an answer is worth; a verifier that failed says nothing."""
        assert isinstance(verdict, Valued)
        if self.terminals == "value":
            child.back_up(worth(verdict, f"state {child.path.node}"))
        elif math.isnan(verdict.value):
            trace.note("the verifier failed on a response, whose worth is unknown to the tree")
        else:
            child.back_up(1.0 if verdict.value > 0 else INVALID)

    def _conclude(self, root: Node, posed: Posed, trace: Trace) -> Result:
        nodes, useful = list(root.walk()), fruitful(root)
        for node in nodes:
            state = "pruned" if node not in useful else "finished" if node.answer else "open"
            value = node.value if math.isfinite(node.value) else None
            trace.mark(node.path.node, visits=node.visits, q=node.q, value=value, state=state)
        whole = [node for node in nodes if not node.path.alive]
        trace.note(self.stepping.note([node.path for node in whole]))
        chosen = decode(root, self.keep)
        if chosen is None:
            trace.note("no response ended with an answer")
        else:
            trace.choose(chosen.path.node)
        text = "" if chosen is None else posed.codec.decode(chosen.path.tokens)
        return Result(text, tuple(self._episode(node, posed) for node in whole), trace.to_dict())

    def _episode(self, node: Node, posed: Posed) -> Episode:
        """Return a response with the Q of the state after each step; NaN where the verifier failed."""
        found = [state.q if state.visits else math.nan for state in node.line()]
        return node.path.valued(found).episode(posed, self.sampling.temperature)
