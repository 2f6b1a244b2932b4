"""Studies of a chain of thought on scripted replies and on small causal models whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pilothouse.core.branches import Branch
from pilothouse.core.embedders import Exact, Likeness
from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.requests import Continuation, StopReason
from pilothouse.core.seeds import SeedTree
from pilothouse.core.sentences import Sentences
from pilothouse.decisions.resilience import resilience
from pilothouse.decisions.transplant import sandwich_effects, transplant_curve
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Sampling
from pilothouse.programs.chains import Chain, Stem
from pilothouse.programs.forced_answer import ForcedAnswer
from pilothouse.programs.resample import Resample
from pilothouse.programs.resample_until import ResampleUntil
from pilothouse.programs.resilience import Resilience
from pilothouse.programs.studies import read_branches
from pilothouse.programs.transplant import Transplant

CODEC = ByteCodec()
SHORT = Sentences(shortest=1)
EXACT = Likeness(embedder=Exact(), threshold=1.0)
PLAN, FILLER = "The plan.", "A filler."


def last_word(text: str) -> str:
    words = text.split()
    return words[-1] if words and words[-1] in ("yes", "no") else ""


@pytest.fixture
def go(posed) -> Callable:
    """Runs a program on a script; the answer is the last word if that is yes or no."""

    def run(program, script):
        engine = ScriptedEngine(script)
        job = Job(program, replace(posed, answer_of=last_word), SeedTree(0))
        [result] = Runner(engine).run([job])
        return result, engine.requests

    return run


def response_of(request) -> str:
    return CODEC.decode(request.prefix).removeprefix("Q:")


def recurring(hazard: float, length: int, seed: int = 0) -> Callable:
    """A model that says the plan with a hazard at each of its positions, and then yes."""
    rng = np.random.default_rng(seed)

    def answer(request) -> str:
        done = len(SHORT.split(response_of(request)))
        said = [PLAN if rng.random() < hazard else FILLER for _ in range(length - done)]
        return " ".join([*said, "So yes"])

    return answer


class Words:
    """A codec whose tokens are words with the space before them."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def encode(self, text: str) -> tuple[int, ...]:
        start = len(self.words)
        pieces = text.split(" ")
        self.words += [piece if at == 0 else f" {piece}" for at, piece in enumerate(pieces)]
        return tuple(range(start, len(self.words)))

    def decode(self, tokens) -> str:
        return "".join(self.words[token] for token in tokens)


def test_chains_are_cut_at_token_borders():
    text = "First one here. Then another? Yes"
    by_byte = Chain.read(Stem.written(CODEC.encode(text)), SHORT, CODEC)
    assert by_byte.sentences == ("First one here.", "Then another?", "Yes")
    assert [CODEC.decode(by_byte.first(k).tokens) for k in range(4)] == [
        "",
        "First one here. ",
        "First one here. Then another? ",
        text,
    ]
    words = Words()
    by_word = Chain.read(Stem.written(words.encode(text)), SHORT, words)
    assert [words.decode(by_word.first(k).tokens) for k in (1, 2, 3)] == [
        "First one here.",
        "First one here. Then another?",
        text,
    ]
    assert by_word.points == range(3)
    assert by_word.sentence(4) == ""
    assert Chain.read(Stem(), SHORT, CODEC).points == range(1)


def test_resampling_a_given_chain(go):
    chain = f"{PLAN} {FILLER} So yes"
    program = Resample(n=2, chain=chain, sentences=SHORT)
    script = [f"{FILLER} So no", f"{PLAN} {FILLER} So yes", f"{FILLER} So yes", "So yes", "So no", "Hm"]
    result, requests = go(program, script)
    assert [response_of(r) for r in requests] == ["", f"{PLAN} ", f"{PLAN} {FILLER} "]
    assert {r.n for r in requests} == {2}
    assert read_branches(result.trace) == {
        0: [Branch(0, FILLER, ("So no",), "no"), Branch(0, PLAN, (FILLER, "So yes"), "yes")],
        1: [Branch(1, FILLER, ("So yes",), "yes"), Branch(1, "So yes", (), "yes")],
        2: [Branch(2, "So no", (), "no"), Branch(2, "Hm", (), None)],
    }
    assert last_word(result.answer) == "yes"  # three of the six
    assert len(result.episodes) == 6
    third = result.episodes[2]
    assert third.text == f"{PLAN} {FILLER} So yes"
    given = len(f"{PLAN} ")
    assert third.action_mask == (False,) * given + (True,) * (len(third.tokens) - given)
    assert np.isnan(third.logprobs[:given]).all()
    assert [(s.start, s.stop, s.label) for s in third.segments] == [
        (0, 10, "kept"),
        (10, len(third.tokens), "resampled"),
    ]
    json.dumps(result.trace, allow_nan=False)
    chosen = [node["text"] for node in result.trace["nodes"] if node["state"] == "chosen"]
    assert "".join(chosen).endswith("So yes")


def test_resampling_a_chain_of_ones_own_trains_on_all_of_it(go):
    result, requests = go(Resample(n=1, sentences=SHORT), [f"{PLAN} So yes", "So no", "So no"])
    assert [response_of(r) for r in requests] == ["", "", f"{PLAN} "]
    assert [e.text for e in result.episodes] == [f"{PLAN} So yes", "So no", f"{PLAN} So no"]
    assert all(all(e.action_mask) for e in result.episodes)
    assert result.answer in ("So no", f"{PLAN} So no")
    assert result.trace["notes"] == []


def test_only_the_first_sentences_may_be_studied(go):
    chain = " ".join([PLAN, FILLER, PLAN, FILLER, "So yes"])
    _, requests = go(Resample(n=1, most=2, chain=chain, sentences=SHORT), ["So no"] * 3)
    assert [len(SHORT.split(response_of(r))) for r in requests] == [0, 1, 2]


def test_short_chains(go):
    result, _ = go(Resample(n=2, sentences=SHORT), ["yes", "no", "no"])
    assert result.trace["notes"] == ["the chain's sentences number 1, and a study needs at least 2"]
    assert list(read_branches(result.trace)) == [0]
    assert len(result.episodes) == 3
    with pytest.raises(DataError, match="needs at least 2: give a longer chain"):
        go(Resample(chain="So yes", sentences=SHORT), [])
    with pytest.raises(DataError, match="has 2 sentences and no sentence 3"):
        go(Resilience(chain=f"{PLAN} So yes", index=3, sentences=SHORT), [])


def test_what_was_cut_off_abstains(go):
    cut = Continuation(CODEC.encode("So no"), "So no", (0.0,) * 5, StopReason.LENGTH)
    failed = Continuation((), "", (), StopReason.ERROR, "too long")
    result, _ = go(Resample(n=3, chain=f"{PLAN} So yes", sentences=SHORT), [cut, failed, "So yes", *["So yes"] * 3])
    assert [branch.outcome for branch in read_branches(result.trace)[0]] == [None, None, "yes"]
    assert any("too long" in note for note in result.trace["notes"])


def test_the_limit_is_of_the_whole_response(go):
    chain = f"{PLAN} So yes"
    how = Sampling(max_tokens=20, temperature=0.7, top_p=0.95, stop=("\n",))
    _, requests = go(Resample(n=1, chain=chain, sentences=SHORT, sampling=how), ["So no"] * 2)
    assert [r.max_tokens for r in requests] == [20, 20 - len(f"{PLAN} ")]
    assert {(r.temperature, r.top_p, r.stop) for r in requests} == {(0.7, 0.95, ("\n",))}
    fitted = Resample().fitted(limit=50, stop=(".",), step_end=";")
    assert (fitted.sampling.max_tokens, fitted.sampling.stop, fitted.sentences.mark) == (50, (".",), ";")


@pytest.mark.parametrize(("hazard", "expected", "within"), [(0.0, 0.0, 0.0), (0.35, 2.45, 0.2)])
def test_resilience_of_content_that_recurs_with_a_hazard(go, hazard, expected, within):
    """r L removals for hazard r at each of L positions; the standard error of 400 repeats is 0.063."""
    chain = " ".join([PLAN] * 7 + ["So yes"])
    program = Resilience(n=400, chain=chain, likeness=EXACT, sentences=SHORT)
    result, _ = go(program, recurring(hazard, 7))
    branches = read_branches(result.trace)[0]
    assert len(branches) == len(result.episodes) == 400
    found = resilience(branches, rng=np.random.default_rng(0))
    assert found.value == pytest.approx(expected, abs=within)
    assert all(PLAN not in branch.sentences and len(branch.sentences) == 8 for branch in branches)


def test_content_that_always_comes_back_cannot_be_removed(go):
    program = Resilience(n=2, chain=f"{PLAN} {FILLER} So yes", likeness=EXACT, sentences=SHORT, rejections=7)
    with pytest.raises(DataError, match="came back in each of 7 draws at one position"):
        go(program, recurring(1.0, 7))


def test_removals_stop_at_the_most(go):
    script = [f"{PLAN} So yes", f"{FILLER} {PLAN} So no", f"{FILLER} {PLAN} So no"]
    program = Resilience(n=1, most=3, chain=f"{PLAN} {FILLER} So yes", likeness=EXACT, sentences=SHORT)
    result, requests = go(program, script)
    assert [response_of(r) for r in requests] == ["", "", f"{FILLER} "]
    assert [b.removals for b in read_branches(result.trace)[0]] == [3]
    assert result.episodes[0].text == f"{FILLER} {FILLER} {PLAN} So no"


def test_resampling_until_the_meaning_is_reached(go):
    chain = f"{FILLER} {FILLER} So yes"
    program = ResampleUntil(
        index=2, target=PLAN, candidates=2, continuations=2, n=2, chain=chain, likeness=EXACT, sentences=SHORT
    )
    script = [
        *["B one. Rest.", "So yes"],  # two candidates, of which the second ends the response
        *["C two. Rest.", "D three. Rest."],  # continuations of the first: no plan, so "B one." is accepted
        *["E four. Rest.", "F five. Rest."],
        *["G six. Rest.", "H seven. Rest.", f"{PLAN} Rest.", "I eight. Rest."],
        *["So no", "So no", "So yes", "So yes"],  # baseline, then changed
    ]
    result, requests = go(program, script)
    assert response_of(requests[-2]) == f"{FILLER} "
    assert response_of(requests[-1]) == f"{FILLER} B one. F five. {PLAN} "
    assert [row["reached"] for row in result.trace["rounds"]] == [False, True]
    changed = read_branches(result.trace, arm="changed")[1]
    assert changed == [Branch(1, "B one.", ("F five.", PLAN, "So yes"), "yes")] * 2
    assert [b.outcome for b in read_branches(result.trace, arm="baseline")[1]] == ["no", "no"]
    assert result.trace["notes"] == []
    assert len(result.episodes) == 4


def test_an_unreached_meaning_and_the_controls(go):
    chain = f"{FILLER} {FILLER} So yes"
    how = {"index": 2, "target": PLAN, "candidates": 1, "continuations": 1, "n": 1, "chain": chain}
    fixed = {"likeness": EXACT, "sentences": SHORT}
    script = ["B one. Rest.", "C two. Rest."] * 2 + ["So no", "So yes"]
    result, requests = go(ResampleUntil(iters=2, **how, **fixed), script)
    assert "not reached in 2 rounds" in result.trace["notes"][0]
    assert response_of(requests[-1]) == f"{FILLER} B one. B one. "
    result, requests = go(ResampleUntil(pick="random", **how, **fixed), ["B one. R.", "C two. R.", "So no", "So yes"])
    assert response_of(requests[-1]) == f"{FILLER} B one. C two. "
    result, requests = go(ResampleUntil(pick="written", **how, **fixed), ["So no", "So yes"])
    assert response_of(requests[-1]) == f"{FILLER} {PLAN} "
    assert read_branches(result.trace, arm="changed")[1][0].replacement == PLAN
    mask = result.episodes[-1].action_mask
    assert sum(mask) == len("So yes")
    with pytest.raises(ConfigError, match="which meaning"):
        go(ResampleUntil(), [])


def test_every_candidate_may_end_the_response(go):
    program = ResampleUntil(target=PLAN, candidates=2, n=1, chain=f"{PLAN} So yes", sentences=SHORT)
    result, _ = go(program, ["So yes", "So no", "So yes", "So no"])
    assert "every candidate ended the response" in result.trace["notes"][0]


def test_fluency_counts_if_it_is_asked_for(go):
    def piece(text: str, logprob: float) -> Continuation:
        return Continuation(CODEC.encode(text), text, (logprob,) * len(text), StopReason.LENGTH)

    how = {"target": PLAN, "candidates": 1, "continuations": 2, "n": 1, "iters": 1, "chain": f"{PLAN} So yes"}
    script = [piece("B one. R", -1), piece("C two. R", -9), piece("D six. R", -1), "So no", "So yes"]
    for fluency, winner in ((0.0, "C two."), (1.0, "D six.")):
        program = ResampleUntil(fluency=fluency, closeness=0.0, pick="best", sentences=SHORT, **how)
        program.likeness = Likeness(embedder=Exact(), threshold=0.0)
        _, requests = go(program, script)
        assert response_of(requests[-1]) == f"B one. {winner} "


def choices(hinted_share: float, length: int, seed: int) -> Callable:
    """A model that leans left or right a few times and answers by majority; a hint "Z" makes it lean left."""
    rng = np.random.default_rng(seed)

    def answer(request) -> str:
        text = CODEC.decode(request.prefix)
        chance = hinted_share if text.startswith("Z") else 0.5
        said = list(SHORT.split(text.partition(":")[2]))
        new = ["Left is it." if rng.random() < chance else "Right is it." for _ in range(length - len(said))]
        left = (said + new).count("Left is it.")
        return " ".join([*new, "So yes" if left > length / 2 else "So no"])

    return answer


def test_a_hinted_chain_is_transplanted_point_by_point(go):
    result, requests = go(Transplant(hint="Z", n=40, sentences=SHORT), choices(1.0, 5, seed=1))
    assert CODEC.decode(requests[0].prefix) == "ZQ:"
    assert all(CODEC.decode(r.prefix).startswith("Q:") for r in requests[1:])
    points = read_branches(result.trace)
    assert list(points) == [0, 1, 2, 3, 4, 5]
    curve = transplant_curve(list(points.values()), "yes", rng=np.random.default_rng(0))
    assert curve.shares[-1] == 1
    assert curve.effects.sum() == pytest.approx(curve.total.value)
    assert 0.2 < curve.shares[0] < 0.8
    hinted, branch = result.episodes[0], result.episodes[-1]
    assert hinted.prompt == CODEC.encode("ZQ:")
    assert all(hinted.action_mask)
    assert branch.prompt == CODEC.encode("Q:")
    assert not all(branch.action_mask)  # sentences written under the hint are not this prompt's choice


def test_a_hint_without_effect_gives_a_level_curve(go):
    """Each p_i varies with its prefix, but over chains p_i stays p_0 within three standard errors."""
    shares = []
    for seed in range(40):
        result, _ = go(Transplant(hint="Z", n=25, sentences=SHORT), choices(0.5, 5, seed))
        curve = transplant_curve(list(read_branches(result.trace).values()), "yes", rng=np.random.default_rng(0))
        shares.append(curve.shares)
    mean, error = np.mean(shares, axis=0), np.std(shares, axis=0, ddof=1) / np.sqrt(len(shares))
    spread = np.sqrt(error**2 + error[0] ** 2)
    assert (np.abs(mean - mean[0]) <= 3 * spread)[1:].all()


def test_the_sandwich_steers_one_sentence_at_a_time(go):
    program = Transplant(hint="Z", n=60, sandwich=True, sentences=SHORT)
    result, requests = go(program, choices(1.0, 3, seed=2))
    assert CODEC.decode(requests[0].prefix) == "Q:"
    plain, steered = (read_branches(result.trace, arm=arm) for arm in ("plain", "steered"))
    assert [len(steered[k]) for k in range(4)] == [60] * 4
    assert all(branch.replacement == "Left is it." for k in range(3) for branch in steered[k])
    effects = sandwich_effects(
        list(plain.values())[:3], list(steered.values())[:3], "yes", rng=np.random.default_rng(0)
    )
    assert sum(effect.value for effect in effects) > 0.3


def test_what_cannot_be_transplanted_is_refused_or_noted(go):
    with pytest.raises(ConfigError, match="needs a hint"):
        go(Transplant(), [])
    chain = f"The hint says B. {FILLER} So yes"
    with pytest.raises(DataError, match=r"mentions the hint \('hint'\)"):
        go(Transplant(hint="Hint: B.", mention="hint", chain=chain, sentences=SHORT), [])
    with pytest.raises(DataError, match="has 3 sentences, more than the 2 allowed"):
        go(Transplant(hint="Z!", longest=2, chain=f"{PLAN} {FILLER} So yes", sentences=SHORT), [])
    result, _ = go(Transplant(hint="Hint: B.", mention="hint", n=2, sentences=SHORT), [chain, "So no", "So no"])
    assert "only the prompt was continued" in result.trace["notes"][0]
    assert list(read_branches(result.trace)) == [0]


def test_answers_are_forced_after_every_sentence(go):
    program = ForcedAnswer(force="Answer: ", n=2, answer_tokens=4, chain=f"{PLAN} {FILLER} So yes", sentences=SHORT)
    result, requests = go(program, ["yes", "no", "yes", "yes", "yes", "yes"])
    assert [response_of(r) for r in requests] == ["Answer: ", f"{PLAN} Answer: ", f"{PLAN} {FILLER} Answer: "]
    assert {r.max_tokens for r in requests} == {4}
    assert [[b.outcome for b in point] for point in read_branches(result.trace).values()] == [
        ["yes", "no"],
        ["yes", "yes"],
        ["yes", "yes"],
    ]
    assert result.episodes[0].action_mask == (False,) * 8 + (True,) * 3
    with pytest.raises(ConfigError, match="which text asks for the answer"):
        go(ForcedAnswer(), [])
