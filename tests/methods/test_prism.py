"""PRISM's experiments at sizes of seconds, and its claims from figures made by hand."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pilothouse.core.cards import Verdict
from pilothouse.core.errors import PilothouseError
from pilothouse.core.requests import Logprob, Scored
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Job, Runner
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.prism import claims, reproduce, texts
from pilothouse.methods.experiments.prism.answers import answers
from pilothouse.methods.experiments.prism.records import records
from pilothouse.methods.experiments.prism.stream import closed, stream
from pilothouse.methods.experiments.prism.tiny import SHAPE, stated_chances
from pilothouse.methods.experiments.pubmedqa import find_questions, read_questions
from pilothouse.policies.tiny import tiny_policy
from pilothouse.programs.chances import TENTHS, Reading
from pilothouse.programs.prism import Prism
from pilothouse.reports.progress import Progress
from pilothouse.tasks.proactive_stream import ProactiveStream


def test_smoke_runs_every_part_and_gives_no_verdict(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("PILOTHOUSE_DATA", raising=False)
    found = reproduce("smoke", tmp_path, Progress())
    assert found.verdict is Verdict.SMOKE
    assert len(found.claims) == 5
    assert (tmp_path / found.figure).is_file()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    reproduce("smoke", tmp_path, Progress())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()} == before
    with pytest.raises(PilothouseError, match="no experiment of scale 'gpu'"):
        reproduce("gpu", tmp_path, Progress())


def test_the_stream_is_ordered_as_it_must_be() -> None:
    found = stream(3000, 1)["1:3"]
    assert found["slow"] < found["margin"] < found["fast"] < found["accept only"] < found["always"]
    assert closed(found, "slow") == 1
    assert closed(found, "fast") == 0


def test_selected_records_teach_better_ones_than_all() -> None:
    found = records(2000, 0)
    assert found["oracle"]["cost"] < found["RDC third"]["cost"] < found["all"]["cost"]


def test_claims_by_hand() -> None:
    costs = {"accept only": 1.0, "fast": 0.9, "slow": 0.5, "margin": 0.7, "random": 0.85, "loud": 0.99}
    run = {at: {**costs, "slow share": 0.2} for at in ("1:1", "1:3", "3:1")}
    dual, routing, loud = claims.stream_claims([run, run])
    assert (dual.measured, dual.passed) == (pytest.approx(0.9), True)
    assert (routing.measured, routing.passed) == (pytest.approx(0.2 / 0.05), True)
    assert (loud.measured, loud.passed) == (pytest.approx(1.1), True)
    worse = {**run, "3:1": {**costs, "fast": 0.96, "slow share": 0.2}}
    assert not claims.stream_claims([worse, worse])[0].passed
    assert not claims.stream_claims([worse, worse])[2].passed  # .99 / .96 at 3:1
    arms = {"all": {"cost": 0.5, "false alarm": 0.4}, "RDC third": {"cost": 0.41, "false alarm": 0.3}}
    assert not claims.record_claim([arms, arms], "a student").passed
    bench = {"1:3": {"always": 1, "never": 2, "fixed 0.5": 3, "accept only": 4, "dual": 0.97}, "traces": 16}
    assert claims.bench_claim(bench, ["1:3"]).passed


def test_chances_of_a_batch_are_those_of_the_program() -> None:
    task = ProactiveStream(train_size=20, test_size=5)
    policy = tiny_policy(task.character_set, 3, SHAPE)
    prompts = [str(problem.prompt) for problem in task.problems("test")]
    need, acc = stated_chances(policy, prompts)
    gate = Prism(reading=Reading(options=TENTHS), chained=True, need="need=", accept=" accept=", slow="off", c_fa=99)
    from pilothouse.core.problems import Posed

    codec, jobs = policy.codec, []
    for prompt in prompts:
        posed = Posed(prompt, codec.encode(prompt), prompt, SeedTree(0).numpy(), codec)
        jobs.append(Job(gate, posed, SeedTree(0)))
    rounds = [result.trace["rounds"][0] for result in Runner(LocalEngine(policy)).run(jobs)]
    assert [row["need"] for row in rounds] == pytest.approx(need.tolist(), abs=1e-4)
    assert [row["accept"] for row in rounds] == pytest.approx(acc.tolist(), abs=1e-4)


def test_an_event_is_one_row_of_the_bench_and_traces_are_held_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = []
    for at in range(160):
        error = rng.random() < 0.5
        events = [{"time": "1", "event": f"trace {at % 8}"}, {"time": "2", "event": "error" if error else "reading"}]
        offer = None if at % 10 == 0 else "fix it" if rng.random() < 0.7 else "play music"
        row = {
            "obs": events,
            "pred_task": offer,
            "valid": bool(error and offer == "fix it"),
            "help_needed": bool(error),
        }
        lines.append(json.dumps(row))
    (tmp_path / "train_data.jsonl").write_text("\n".join(lines))
    found = texts.bench(tmp_path)
    assert (found["rows"], found["traces"]) == (144, 8)
    assert found["AUC need"] > 0.9
    assert found["1:3"]["dual"] < min(found["1:3"]["always"], found["1:3"]["never"])
    (tmp_path / "train_data.jsonl").write_text("\n".join(lines[1:4]))
    with pytest.raises(PilothouseError, match="traces with offers"):
        texts.bench(tmp_path)


def test_moderation_samples_and_where_they_are(tmp_path: Path, monkeypatch) -> None:
    words = {"S": "lust", "H": "scum", "V": "blood", "HR": "stalk", "SH": "razor"}
    rows = [
        {"prompt": f"{words[label] if label else 'tea'} {at}", **{name: int(name == label) for name in words}}
        for at in range(40)
        for label in (*words, None)
    ]
    path = tmp_path / "deep" / texts.MODERATION_FILE
    path.parent.mkdir()
    with gzip.open(path, "wt") as stream:
        stream.write("\n".join(json.dumps(row) for row in [*rows, {"prompt": "half", "S": 1}]))
    monkeypatch.setenv("PILOTHOUSE_DATA", str(tmp_path))
    assert texts.find_moderation() == path
    assert texts.find_bench() is None
    found = texts.moderation(path)
    assert found["rows"] == 240  # a sample without all labels is left out
    assert found["AUC accept, fast"] > 0.95
    assert found["1:1"]["dual"] < 0.05
    path.write_bytes(b"no gzip")
    with pytest.raises(PilothouseError, match="cannot read the moderation samples"):
        texts.moderation(path)


def test_the_real_samples_have_765_fully_labelled_prompts() -> None:
    folder = Path(os.environ.get("PILOTHOUSE_DATA", "../shared/data"))
    found = sorted(folder.glob(f"**/{texts.MODERATION_FILE}")) if folder.is_dir() else []
    if not found:
        pytest.skip(f"{texts.MODERATION_FILE} is not here; set PILOTHOUSE_DATA to the folder that holds it")
    prompts, labels = texts._labelled(found[0])
    assert (len(prompts), int(labels.max(axis=1).sum())) == (765, 419)


def questions(folder: Path) -> Path:
    """Questions whose abstracts hint at the experts' answer and whose conclusions tell it."""
    rng, rows = np.random.default_rng(0), {}
    for at in range(300):
        decision = ("yes", "no", "maybe")[rng.choice(3, p=[0.55, 0.35, 0.1])]
        hint = decision if rng.random() < 0.4 else "nothing"
        rows[str(at)] = {
            "QUESTION": f"does it {at % 7}?",
            "CONTEXTS": [f"we saw {hint}", "in patients"],
            "LONG_ANSWER": f"we conclude {decision if rng.random() < 0.9 else 'little'}",
            "final_decision": decision,
        }
    path = folder / "pubmedqa" / "ori_pqal.json"
    path.parent.mkdir()
    path.write_text(json.dumps(rows))
    return path


def test_questions_are_answered_or_deferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = questions(tmp_path)
    monkeypatch.setenv("PILOTHOUSE_DATA", str(tmp_path))
    assert find_questions() == path
    found = answers(path, 0)
    assert found["questions"] == 300
    assert found["right, slow"] > found["right, fast"] > 0.55
    assert found == answers(path, 0)
    for figures in found["costs"].values():
        assert figures["slow"] <= figures["margin"] <= figures["fast"]
        assert figures["accept only"] == figures["fast"]  # a right answer is needed: one threshold
    assert found["costs"]["1:1"]["always"] == pytest.approx(1 - found["right, fast"])
    assert found["costs"]["3:1"]["never"] == pytest.approx(found["right, fast"])
    path.write_text('{"1": {"QUESTION": "q", "CONTEXTS": [], "LONG_ANSWER": "", "final_decision": "perhaps"}}')
    with pytest.raises(PilothouseError, match=r"cannot read PubMedQA's questions.*'perhaps'"):
        answers(path, 0)
    path.write_text('{"1": {"QUESTION": "q"}}')
    with pytest.raises(PilothouseError, match="cannot read PubMedQA's questions"):
        answers(path, 0)


def test_claims_on_questions_by_hand() -> None:
    costs = {"always": 1.0, "never": 0.8, "fixed 0.5": 0.9, "accept only": 0.75, "fast": 0.75, "slow": 0.5}
    costs |= {"margin": 0.65, "random": 0.7, "slow share": 0.3}
    error = {"ECE fast, before": 0.1, "ECE fast, after": 0.05, "Brier fast, before": 0.2, "Brier fast, after": 0.2}
    run = {**error, "costs": dict.fromkeys(("1:1", "3:1"), costs)}
    assert [c.passed for c in claims.answer_claims([run] * 2)] == [True] * 4
    worse = {**costs, "fast": 0.78, "accept only": 0.78, "margin": 0.76, "random": 0.768}
    run = {**error, "ECE fast, after": 0.1, "costs": {"1:1": costs, "3:1": worse}}
    assert [c.passed for c in claims.answer_claims([run] * 2)] == [False] * 4
    run = {**error, "Brier fast, after": 0.21, "costs": {"1:1": costs}}
    assert [c.passed for c in claims.answer_claims([run] * 2)] == [True, True, True, False]


def test_the_real_questions_are_a_thousand() -> None:
    folder = Path(os.environ.get("PILOTHOUSE_DATA", "../shared/data"))
    found = sorted(folder.glob("**/ori_pqal.json")) if folder.is_dir() else []
    if not found:
        pytest.skip("ori_pqal.json of PubMedQA is not here; set PILOTHOUSE_DATA to the folder that holds it")
    decisions = [one.decision for one in read_questions(found[0])]
    assert [decisions.count(name) for name in ("yes", "no", "maybe")] == [552, 338, 110]


def test_the_method_is_there_without_scikit_learn() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['sklearn', 'scipy', 'pandas', 'pyarrow']))\n"
        "import importlib.util\n"
        "from pilothouse.methods.base import find_method\n"
        "assert find_method('prism').program.name == 'prism'"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    assert find_method("prism").recipe is None


def test_the_gate_decides_over_a_scripted_policy() -> None:
    """The method's own program, with its published defaults."""
    from pilothouse.core.problems import Posed
    from pilothouse.engines.codecs import ByteCodec
    from pilothouse.engines.scripted import ScriptedEngine

    def unsure(request):
        assert isinstance(request, Logprob)
        return Scored((-3.0 if ByteCodec().decode(request.continuation) == " yes" else -0.05,))

    posed = Posed("q", ByteCodec().encode("reads"), "reads", SeedTree(0).numpy(), ByteCodec())
    [result] = Runner(ScriptedEngine(unsure)).run([Job(find_method("prism").program, posed, SeedTree(0))])
    assert result.answer == ""
    assert result.cost.calls == 4
