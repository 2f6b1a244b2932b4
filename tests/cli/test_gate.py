"""``pilothouse gate`` over tables of both kinds, and what it says of tables that cannot be decided."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pilothouse.cli import main
from pilothouse.decisions.audit import faults
from pilothouse.decisions.gate import CostGate


def table(n: int = 400, seed: int = 0, **columns) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.standard_normal((n, 2))
    p, y = 1 / (1 + np.exp(-z)), rng.random((n, 2)) < 1 / (1 + np.exp(-z))
    loud = 1 / (1 + np.exp(-2.5 * z))
    frame = {"p_need": loud[:, 0], "p_acc": loud[:, 1], "y_need": y[:, 0].astype(int), "y_acc": y[:, 1].astype(int)}
    return pd.DataFrame({**frame, "slow_need": p[:, 0], "slow_acc": p[:, 1], "who": "me", **columns})


def saved(frame: pd.DataFrame, path: Path) -> str:
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path, index=False)
    return str(path)


def gate(capsys, *arguments: str) -> dict:
    main(["gate", *arguments, "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("kind", "other"), [(".csv", ".parquet"), (".parquet", ".csv")])
def test_decisions_and_audit_of_either_kind(tmp_path: Path, capsys, kind: str, other: str) -> None:
    frame = table()
    out = tmp_path / f"out{other}"
    found = gate(capsys, saved(frame, tmp_path / f"in{kind}"), "--out", str(out), "--figure", str(tmp_path / "f.png"))
    written = pd.read_csv(out) if other == ".csv" else pd.read_parquet(out)
    assert written["who"].tolist() == frame["who"].tolist()
    speak = CostGate(1, 3).decide(frame["p_need"], frame["p_acc"])
    assert written["speak"].tolist() == speak.tolist()
    assert written["tau"].to_numpy() == pytest.approx(CostGate(1, 3).tau(frame["p_need"]).to_numpy())
    cost = CostGate(1, 3).realised(speak, frame["y_need"], frame["y_acc"]).mean()
    assert found["cost"] == pytest.approx(cost)
    assert found["cost"] < min(found["always"], found["never"])
    records = [json.loads(row) for row in Path(found["audit"]).read_text().splitlines()]
    assert len(records) == 400
    assert faults(records) == []
    assert Path(found["figure"]).is_file()


def test_calibration_a_slow_estimate_and_a_sweep(tmp_path: Path, capsys) -> None:
    here, aside = saved(table(), tmp_path / "in.csv"), saved(table(seed=1), tmp_path / "aside.csv")
    slow = ["--slow-need", "slow_need", "--slow-acc", "slow_acc"]
    found = gate(capsys, here, "--calibrate", aside, *slow, "--sweep", "1:1,3:1", "--out", str(tmp_path / "o.csv"))
    assert found["temperatures"]["fast need"] == pytest.approx(2.5, rel=0.3)
    assert found["temperatures"]["slow accept"] == pytest.approx(1, rel=0.3)
    assert 0 < found["slow_share"] < 1
    assert [row["c_fa"] for row in found["sweep"]] == [1, 3]
    assert found["need"]["ece"] < gate(capsys, here)["need"]["ece"]
    assert "calibrated_need" in pd.read_csv(tmp_path / "o.csv").columns
    main(["gate", here, "--calibrate", aside, "--sweep", "1:1"])
    said = capsys.readouterr().out
    for word in ("cost", "false alarms", "recall", "ECE", "temperature of fast need", "costs 1:1"):
        assert word in said


def test_costs_by_row_and_labels_that_are_not_known(tmp_path: Path, capsys) -> None:
    frame = table(noise=np.linspace(0.5, 2, 400))
    frame["y_acc"] = frame["y_acc"].astype(float).where(np.arange(400) % 2 == 0)
    found = gate(capsys, saved(frame, tmp_path / "in.csv"), "--c-fa", "noise")
    assert found["labelled"] == 200
    kept = frame[::2]
    costs = CostGate(kept["noise"], 3)
    speak = costs.decide(kept["p_need"], kept["p_acc"])
    assert found["cost"] == pytest.approx(costs.realised(speak, kept["y_need"], kept["y_acc"]).mean())


def test_missing_slow_estimates_leave_the_fast_ones(tmp_path: Path, capsys) -> None:
    here = saved(table(slow_acc=np.nan), tmp_path / "in.csv")
    found = gate(capsys, here, "--slow-need", "slow_need", "--slow-acc", "slow_acc", "--delta", "1")
    assert found["slow_failed"] == 400
    assert found["cost"] == pytest.approx(gate(capsys, here)["cost"])
    main(["gate", here, "--slow-need", "slow_need", "--slow-acc", "slow_acc", "--delta", "1"])
    assert "400 slow estimates are missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("columns", "arguments", "says"),
    [
        ({"p_acc": [0.5] * 399 + [1.5]}, [], "'p_acc' has 1 values outside [0, 1], in row 400"),
        ({"p_acc": [np.nan] + [0.5] * 399}, [], "'p_acc' has 1 values that are NaN or infinite, in row 1"),
        ({"p_acc": ["x"] * 400}, [], "'p_acc' is not a number in row 1: 'x'"),
        ({"y_acc": [2] * 400}, [], "'y_acc' has labels other than 0 and 1"),
        ({"noise": [0.0] + [1.0] * 399}, ["--c-fa", "noise"], "'noise' is 0, in row 1: it must be greater than 0"),
        ({}, ["--c-fa", "0"], "'c_fa' is 0: it must be greater than 0"),
        ({}, ["--c-fn", "-3"], "'c_fn' is -3"),
        ({}, ["--c-fn", "nan"], "'c_fn' has 1 values that are NaN or infinite"),
        ({}, ["--c-fa", "nosie"], "has no column 'nosie'"),
        ({}, ["--p-need", "p_ned"], "has no column 'p_ned'; did you mean 'p_need'?"),
        ({}, ["--y-need", "need"], "has no column 'need'; did you mean"),
        ({}, ["--slow-need", "slow_need"], "a slow estimate has two columns"),
        ({}, ["--delta", "-1"], "delta is -1"),
        ({"p_need": [np.inf] + [0.5] * 399}, [], "'p_need' has 1 values that are NaN or infinite, in row 1"),
        ({}, ["--sweep", "1:1,0:1"], "'c_fa' is 0: it must be greater than 0"),
        ({}, ["--sweep", "1:-1"], "'c_fn' is -1: it must be greater than 0"),
        ({}, ["--delta", "nan"], "delta is nan"),
        ({}, ["--sweep", "1,3"], "cannot read the costs '1,3'"),
        ({}, ["--out", "o.txt"], "ends in neither .csv nor .parquet"),
        ({}, ["--calibrate", "none.csv"], "there is no file 'none.csv'"),
        ({"y_need": [1] * 400}, ["--calibrate", "in.csv"], "all of one class"),
        ({"p_need": [0.5] * 400}, ["--calibrate", "in.csv"], "all alike"),
    ],
)
def test_tables_that_cannot_be_decided(tmp_path: Path, monkeypatch, capsys, columns, arguments, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    saved(table(**columns), tmp_path / "in.csv")
    with pytest.raises(SystemExit) as status:
        main(["gate", "in.csv", *arguments])
    assert status.value.code == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"p_acc": [0.5, np.nan] + [0.4] * 398}, "'p_acc' has 1 values that are NaN or infinite, in row 2"),
        ({"p_need": [0.5] * 399 + [-1]}, "'p_need' has 1 values outside [0, 1], in row 400 (the first is -1)"),
        ({"y_need": [0, 1, 5] + [0] * 397}, "'y_need' has labels other than 0 and 1, in row 3"),
        ({"p_acc": None}, "has no column 'p_acc'; did you mean 'y_acc'?"),
    ],
)
def test_what_is_wrong_with_a_calibration_set_names_it(tmp_path: Path, capsys, columns, says: str) -> None:
    frame = table(**columns)
    aside = saved(frame.dropna(axis="columns", how="all"), tmp_path / "aside.csv")
    with pytest.raises(SystemExit):
        main(["gate", saved(table(), tmp_path / "in.csv"), "--calibrate", aside])
    error = capsys.readouterr().err
    assert f"the calibration set '{aside}'" in error
    assert says in error


def test_a_calibration_set_that_is_too_small(tmp_path: Path, capsys) -> None:
    here, few = saved(table(), tmp_path / "in.csv"), saved(table(4), tmp_path / "few.csv")
    with pytest.raises(SystemExit):
        main(["gate", here, "--calibrate", few])
    assert "a calibration set of 4 samples is too small: give at least 10" in capsys.readouterr().err
