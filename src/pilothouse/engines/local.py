"""The local engine: continuous batching over a Hugging Face model, in the process and on the weights of the trainer.

Rows that finish leave at once, waiting ones join in batches; what sequences share is computed once. A sample depends on
its request's seed and on the weights, not on its neighbours: only the last bits of a logit depend on the shape of the
batch, so a draw could differ there if its random number fell within that rounding of the border of two tokens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.counter import row_key, uniform
from pilothouse.core.errors import EngineError
from pilothouse.core.requests import (
    Call,
    Codec,
    Continuation,
    Logprob,
    Reply,
    Request,
    Sample,
    Sampled,
    Scored,
    StopReason,
    Tokens,
    Value,
)
from pilothouse.core.results import Cost
from pilothouse.engines.base import Partial
from pilothouse.engines.checks import check
from pilothouse.engines.decoder import Decoder, LanguagePolicy
from pilothouse.engines.prefill import Prefill
from pilothouse.engines.rows import Job, LiveRows, Row
from pilothouse.engines.sampling import draw
from pilothouse.engines.scoring import score, value
from pilothouse.engines.stops import CHECK, CONTINUE, EOS, STOP, StopRules

PREFILL_CHUNK = 128  #: tokens: the newcomer's first comes 1.6 times as late, the others' longest waits are a third


class LocalEngine:
    """Answers requests with a policy's own model.

    Args:
        policy: the policy; its weights are never changed. Joined copies of a small model's projections are renewed by
            ``policy_changed``.
        max_rows: most sequences in one batch.
        default_max_tokens: length limit of a continuation whose request states none, in tokens.
        prefix_cache_tokens: most tokens whose keys and values are kept for reuse; 0 keeps none.
        prefill_chunk: most tokens of waiting prompts that ``step`` computes before the live rows draw their next token;
            0 computes prompts whole. What is computed ahead waits in the prefix store, so a prompt that the store
            cannot hold is computed whole. ``poll`` is for callers who read no token before an answer is finished: it
            always computes prompts whole.

    Raises:
        EngineError: the policy's model cannot be batched this way.
    """

    def __init__(
        self,
        policy: LanguagePolicy,
        *,
        max_rows: int = 256,
        default_max_tokens: int = 256,
        prefix_cache_tokens: int = 32768,
        prefill_chunk: int = PREFILL_CHUNK,
    ) -> None:
        self.policy = policy
        self.max_rows = max_rows
        self.prefill_chunk = prefill_chunk
        self.default_max_tokens = default_max_tokens
        self._decoder = Decoder(policy)
        self._prefill = Prefill(self._decoder, prefix_cache_tokens)
        self._stops = StopRules(policy.codec, policy.eos_ids, self._decoder.vocabulary)
        self._live = LiveRows(policy.model.device)
        self._waiting: deque[Row] = deque()
        self._owed = False  # live rows have waited for a chunk and draw next
        self._answered: list[tuple[int, Reply, Cost]] = []

    @property
    def codec(self) -> Codec:
        """Text to token ids and back in this policy's vocabulary."""
        return self.policy.codec

    def submit(self, ticket: int, request: Request) -> None:
        """Queue a request.

        Args:
            ticket: the caller's handle, returned with the reply.
            request: what to answer.

        Raises:
            EngineError: the request can never be answered.
        """
        if isinstance(request, Call):
            raise EngineError(f"a language model cannot call the tool '{request.tool}'; register it with the runner")
        if isinstance(request, Value) and getattr(self.policy, "value_head", None) is None:
            raise EngineError("this policy has no value head; load it with one or send values to another scorer")
        check(request, self.policy.context, self._decoder.vocabulary)
        job = Job(ticket, request)
        if isinstance(request, Sample):
            job.continuations = [None] * request.n
            last = len(request.prefix) - 1
            self._waiting.extend(Row(job, index, request.prefix, last) for index in range(request.n))
        elif isinstance(request, Value):
            self._waiting.append(Row(job, 0, request.prefix, len(request.prefix) - 1))
        elif request.continuation:
            sequence = (*request.prefix, *request.continuation[:-1])
            self._waiting.append(Row(job, 0, sequence, len(request.prefix) - 1))
        else:
            self._answer(job, Scored(()))

    def poll(self) -> list[tuple[int, Reply, Cost]]:
        """Work until at least one queued request is answered and return the finished ones with what each one cost."""
        with self._decoder.session():
            while not self._answered and self.rows:
                self._work()
        return self._take()

    def step(self) -> list[tuple[int, Reply, Cost]]:
        """Admit waiting rows, compute a chunk of one or draw one token for each live one; return what is answered."""
        with self._decoder.session():
            if not self._answered and self.rows:
                self._work(self.prefill_chunk)
        return self._take()

    def progress(self, tickets: Container[int]) -> list[Partial]:
        """Return the tokens drawn for the live rows of the given requests since they were last reported."""
        rows = enumerate(self._live.rows)
        new = [(row, *self._live.news(at)) for at, row in rows if row.job.ticket in tickets]
        return [Partial(row.job.ticket, row.index, tokens, scores) for row, tokens, scores in new if tokens]

    def cancel(self, ticket: int) -> None:
        """Drop a request: its rows leave the batch at once and no answer comes."""
        self._waiting = deque(row for row in self._waiting if row.job.ticket != ticket)
        self._answered = [answer for answer in self._answered if answer[0] != ticket]
        gone = [at for at, row in enumerate(self._live.rows) if row.job.ticket == ticket]
        if gone:
            with torch.inference_mode():
                self._remove(gone)

    @property
    def rows(self) -> int:
        """Sequences that are being sampled or wait to be."""
        return len(self._live) + len(self._waiting)

    def policy_changed(self) -> None:
        """Forget whatever was computed with earlier weights; rows that are running go on under the new ones."""
        live = self._live
        for at, row in enumerate(live.rows):
            row.drawn, row.logprobs, row.paid = live.drawn(at), live.scores(at), 0
            assert isinstance(row.job.request, Sample)
            row.sequence = row.job.request.prefix + row.drawn
            row.reusable = len(row.sequence) - 1
        self._waiting.extendleft(reversed(live.rows))
        self._live = LiveRows(self.policy.model.device)
        self._prefill.store.clear()
        self._decoder.weights_changed()

    def release(self) -> None:
        """Give the cache's memory back, as between sampling and training; it is allocated again when needed."""
        self.policy_changed()
        self._decoder.release()

    def _answer(self, job: Job, reply: Reply, sampled: int = 0) -> None:
        """Put a reply in the out-tray."""
        self._answered.append((job.ticket, reply, Cost(sampled, job.computed, job.reused, 1)))

    def _take(self) -> list[tuple[int, Reply, Cost]]:
        answered, self._answered = self._answered, []
        return answered

    def _work(self, chunk: int = 0) -> None:
        """Let waiting rows join if there is room for enough of them, else draw a token for each live row.

        Args:
            chunk: most tokens to compute for those who join while live rows wait, which then draw at once; 0 for any.
        """
        free = self.max_rows - len(self._live)
        room = self._waiting and free >= min(len(self._waiting), max(1, self.max_rows // 8))
        chunk = chunk if len(self._live) else 0
        if room and not (chunk and self._owed):
            self._admit(self._next(free, chunk))
            self._owed = chunk > 0
        else:
            self._step()
            self._owed = False

    # --- joining

    def _next(self, free: int, chunk: int) -> list[Row]:
        """Take the rows that join now from the queue, in its order; a sequence too long for the chunk is only begun."""
        rows, left, begun = list[Row](), chunk, set[Tokens]()
        while self._waiting and len(rows) < free:
            row = self._waiting[0]
            if chunk and row.sequence not in begun:
                missing = self._prefill.missing(row)
                if missing > left and (rows or self._prefill.ahead(len(self._live), row, chunk)):
                    break
                left -= missing
                begun.add(row.sequence)
            rows.append(self._waiting.popleft())
        return rows

    def _admit(self, rows: Sequence[Row]) -> None:
        """Answer the rows that ask for scores and start those that are sampled."""
        self._prefill.compute_stems(len(self._live), rows)
        values = [row for row in rows if isinstance(row.job.request, Value)]
        if values:
            self._hand_out(value(self._prefill, len(self._live), values))
        scores = [row for row in rows if isinstance(row.job.request, Logprob)]
        if scores:
            self._hand_out(score(self._prefill, len(self._live), scores))
        samples = [row for row in rows if isinstance(row.job.request, Sample)]
        if samples:
            self._start(samples)

    def _hand_out(self, replies: Iterable[tuple[Row, Reply]]) -> None:
        for row, reply in replies:
            self._answer(row.job, reply)

    def _start(self, rows: Sequence[Row]) -> None:
        """Compute the sequences of new rows, once per distinct sequence, and draw their first tokens."""
        groups: dict[Tokens, list[Row]] = {}
        for row in rows:
            groups.setdefault(row.sequence, []).append(row)
        leaders = sorted((group[0] for group in groups.values()), key=self._prefill.missing)
        pool, first = self._decoder.pool, len(self._live)
        pool.reserve(first + len(rows), 0)
        starts = self._prefill.reuse(first, leaders)
        logits = self._prefill.fill(first, leaders, starts)
        order, source = list(leaders), list(range(len(leaders)))
        for at, (leader, start) in enumerate(zip(leaders, starts, strict=True)):
            leader.job.computed += len(leader.sequence) - start
            leader.job.reused += max(0, start - leader.paid)
            for follower in groups[leader.sequence][1:]:
                follower.job.reused += len(follower.sequence)
                order.append(follower)
                source.append(at)
        if len(order) > len(leaders):
            columns = max(len(row.sequence) for row in rows)
            sources = [first + at for at in source[len(leaders) :]]
            pool.copy_rows(sources, list(range(first + len(leaders), first + len(order))), columns)
            logits = logits[torch.tensor(source, device=logits.device)]
        keys, limits, rules = list[int](), list[int](), list[int]()
        for row in order:
            request = row.job.request
            assert isinstance(request, Sample)
            assert request.seed is not None
            keys.append(row_key(request.seed, request.first + row.index))
            limits.append(min(request.max_tokens or self.default_max_tokens, self.policy.context - len(request.prefix)))
            rules.append(self._stops.rule(request.stop, request.stop_tokens))
        self._live.add(order, keys, limits, rules)
        self._advance(first, logits)

    # --- running

    def _step(self) -> None:
        """Feed each live row its last token and draw the next."""
        live = self._live
        columns = live.columns
        self._decoder.pool.reserve(len(live), min(live.final_columns, columns + 256))
        for row in live.rows:
            row.job.computed += 1
        tokens, lengths = live.ints[0, :, None], live.ints[1, :, None]
        self._advance(0, self._decoder.logits(0, tokens, lengths - 1, columns, 1)[:, -1])

    def _advance(self, first: int, logits: Float[Tensor, "B V"]) -> None:
        """Draw a token for each row from ``first`` on and take out the rows that it ends."""
        live = self._live
        _, lengths, keys, top_k = live.ints[:, first:]
        temperature, top_p = live.floats[:, first:]
        cut = np.flatnonzero(live.host[5, first:])
        tokens, logprobs = draw(
            logits,
            uniform(keys, lengths),
            temperature,
            top_p,
            top_k,
            greedy=bool(live.host[4, first:].any()),
            truncated=torch.from_numpy(cut).to(logits.device) if len(cut) else None,
        )
        drawn = live.record(first, tokens, logprobs)
        count, limit, _, rule = live.host[:4, first:]
        effect = self._stops.table[rule, drawn]
        broken = ~np.isfinite(live.logprobs[np.arange(first, len(live)), count - 1])
        finished: dict[int, StopReason] = {}
        for at in np.flatnonzero((effect != CONTINUE) | (count >= limit) | broken).tolist():
            reason = self._reason(first + at, int(effect[at]), bool(broken[at]))
            if reason is not None:
                finished[first + at] = reason
        if finished:
            self._finish(finished)

    def _reason(self, at: int, effect: int, broken: bool) -> StopReason | None:
        """Return why a row ends with the token just drawn, or ``None`` if it goes on."""
        if broken:
            return StopReason.ERROR
        if effect == EOS:
            return StopReason.EOS
        count, limit, _, rule = self._live.host[:4, at]
        if effect == STOP or (effect == CHECK and self._stops.completed(int(rule), self._live.drawn(at))):
            return StopReason.STOP
        return StopReason.LENGTH if count >= limit else None

    def _finish(self, finished: dict[int, StopReason]) -> None:
        """Take out finished rows, keep what was computed for them and answer the requests that are complete."""
        live, pool = self._live, self._decoder.pool
        sound, kept = list[int](), list[Tokens]()
        for at, reason in finished.items():
            row, tokens = live.rows[at], live.drawn(at)
            request = row.job.request
            assert isinstance(request, Sample)
            if reason is StopReason.ERROR:
                pool.wipe([at])
                tokens = tokens[:-1]
                detail = "the model's logits are not finite; check the weights for NaN"
            else:
                sound.append(at)
                kept.append(request.prefix + tokens[:-1])
                detail = ""
            scores = live.scores(at)[: len(tokens)]
            answer = Continuation(tokens, self.codec.decode(tokens), scores, reason, detail)
            row.job.continuations[row.index] = answer
            done = [continuation for continuation in row.job.continuations if continuation is not None]
            if len(done) == request.n:
                self._answer(row.job, Sampled(tuple(done)), sum(len(continuation.tokens) for continuation in done))
        self._prefill.keep(sound, kept)
        self._remove(list(finished))

    def _remove(self, gone: Sequence[int]) -> None:
        """Take rows out of the batch, ascending; the last rows move into the gaps."""
        columns = self._live.columns
        sources, targets = self._live.remove(gone)
        if sources:
            self._decoder.pool.copy_rows(sources, targets, columns)
