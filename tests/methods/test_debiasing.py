"""The experiments of debiasing run, continue, and can fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from pilothouse.core.cards import Verdict
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import find_method, language_methods
from pilothouse.methods.experiments.debiasing import simulated
from pilothouse.methods.experiments.debiasing.claims import (
    mixture_claims,
    simulated_claims,
    split_claims,
)
from pilothouse.reports.progress import Progress


def test_smoke_reproduction_runs_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = find_method("debiasing")
    evidence = method.reproduce("smoke", tmp_path, Progress())
    assert evidence.verdict is Verdict.SMOKE
    assert len(evidence.claims) == 11
    assert (tmp_path / evidence.figure).is_file()
    json.dumps(evidence.to_dict(), default=str)
    monkeypatch.setattr(simulated, "one_trial", None)  # everything is read back
    assert method.reproduce("smoke", tmp_path, Progress()).tables == evidence.tables


def test_it_trains_no_policy_and_has_no_experiment_for_a_gpu(tmp_path: Path) -> None:
    assert "debiasing" not in language_methods()
    with pytest.raises(ConfigError, match="trains no language policy"):
        _ = find_method("debiasing").policy_gradient
    with pytest.raises(ConfigError, match="use --scale small"):
        find_method("debiasing").reproduce("gpu", tmp_path, Progress())


def test_without_scikit_learn_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from pilothouse.cli import main\n"
        "for words in ('reproduce debiasing --scale smoke', 'debias fit x.csv'):\n"
        "    try: main(words.split())\n"
        "    except SystemExit as stop: assert stop.code == 2\n"
        "    else: raise AssertionError(words)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("pip install 'pilothouse[decisions]'") == 2


def test_bars_are_those_of_the_claims() -> None:
    def run(slopes: tuple[float, ...], maes: tuple[float, ...]) -> dict[str, dict[str, float]]:
        names = ("naive", "linear", "tweedie", "ppi")
        return {n: {"slope": s, "mae": m} for n, s, m in zip(names, slopes, maes, strict=True)}

    good = run((0.69, 0.90, 1.12, 1.0), (1.0, 0.3, 0.35, 0.36))
    bad = run((0.70, 0.89, 1.13, 1.0), (1.0, 0.3, 0.36, 0.36))
    assert [c.passed for c in simulated_claims([good] * 2)] == [True] * 5
    assert [c.passed for c in simulated_claims([bad] * 2)] == [False] * 5
    assert [c.passed for c in mixture_claims([{"naive": 1.0, "linear": 0.4, "tweedie": 0.06}] * 2)] == [True, True]
    assert [c.passed for c in mixture_claims([{"naive": 1.0, "linear": 0.4, "tweedie": 0.061}] * 2)] == [False, False]
    assert [c.passed for c in split_claims([run((0.4, 0.75, 1.15, 1), (1.0, 0.5, 0.5, 1))] * 2, "x")] == [True] * 4
    assert [c.passed for c in split_claims([run((0.4, 0.74, 1.16, 1), (1.0, 0.51, 0.51, 1))] * 2, "x")] == [False] * 4


def test_questions_are_trials_whose_outcomes_a_model_of_their_words_predicts(tmp_path: Path) -> None:
    from pilothouse.methods.experiments.debiasing.questions import one_split

    rng, rows = np.random.default_rng(0), {}
    for at in range(2000):
        yes = bool(rng.random() < 0.5)
        word = "works" if yes == (rng.random() < 0.85) else "fails"
        decision = "yes" if yes else "no"
        rows[str(at)] = {"QUESTION": "q", "CONTEXTS": [], "LONG_ANSWER": f"it {word}", "final_decision": decision}
    path = tmp_path / "ori_pqal.json"
    path.write_text(json.dumps(rows))
    found = one_split(path, SeedTree(0), 40)
    assert found["naive"]["slope"] < 0.65  # 0.7 ** 2 of the outcome's variance is predicted
    assert 0.75 < found["linear"]["slope"] < 1.3
