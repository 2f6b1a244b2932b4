"""``pilothouse debias`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

FIT = ["debias", "fit", "held.csv", "--pred", "yhat", "--truth", "y"]


@pytest.fixture
def tables() -> None:
    """A calibration split in CSV and a trial in Parquet: the effect on the outcome is about 1."""
    rng = np.random.default_rng(0)
    pred = rng.normal(size=800)
    pd.DataFrame({"yhat": pred, "y": pred + rng.normal(size=800)}).to_csv("held.csv", index=False)
    t = np.resize([0, 1], 1000)
    trial = pd.DataFrame({"id": range(1000), "yhat": rng.normal(size=1000) + 0.5 * t, "aid": t, "e": 0.5})
    trial.to_parquet("trial.parquet", index=False)


@pytest.mark.parametrize("corrector", ["linear", "tweedie", "identity"])
def test_from_a_calibration_split_to_an_effect(cli: Any, tables: None, corrector: str) -> None:
    assert "800 pairs" in cli(*FIT, "--corrector", corrector, "--out", "map.json").out
    said = cli("debias", "transform", "map.json", "trial.parquet", "--pred", "yhat")
    assert said.out == "1,000 rows written to trial-corrected.parquet\n"
    found = pd.read_parquet("trial-corrected.parquet")
    assert list(found.columns) == ["id", "yhat", "aid", "e", "corrected"]
    arguments = ["debias", "effect", "map.json", "trial.parquet", "--pred", "yhat", "--treatment", "aid", "--json"]
    alone = cli(*arguments).json()
    by_arm = found.groupby("aid").corrected.mean()
    assert alone["estimate"] == pytest.approx(by_arm[1] - by_arm[0])
    assert alone["naive"] == pytest.approx(0.5, abs=0.2)
    assert alone["calibration_se"] is None
    whole = cli(*arguments, "--calibration", "held.csv", "--truth", "y", "--propensity", "e").json()
    assert whole["estimator"] == "hajek"
    assert whole["estimate"] == pytest.approx(alone["estimate"])
    assert (whole["se"] > alone["se"]) == (corrector != "identity")
    cli("debias", "transform", "map.json", "held.csv", "--pred", "yhat", "--out", "o.csv")
    assert Path("o.csv").read_text().startswith("yhat,y,corrected\n")


def test_words_for_people(cli: Any, tables: None) -> None:
    cli(*FIT)
    said = cli("debias", "effect", "correction.json", "trial.parquet", "--pred", "yhat", "--treatment", "aid")
    assert "95 % interval" in said.out
    assert "give --calibration" in said.out
    compared = cli("debias", "compare", "held.csv", "--pred", "yhat", "--truth", "y")
    assert "recommended: " in compared.out
    assert cli("debias", "compare", "held.csv", "--pred", "yhat", "--truth", "y", "--json").json()["n"] == 800


def test_doubts_are_said_beside_the_answer(cli: Any, tables: None) -> None:
    rows = pd.read_csv("held.csv")
    rows.head(50).to_csv("few.csv", index=False)
    said = cli("debias", "fit", "few.csv", "--pred", "yhat", "--truth", "y", "--json")
    assert "warning: 50 calibration pairs are few" in said.err
    assert said.json()["warnings"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("fit held.csv --pred yaht --truth y", ["has no column 'yaht'", "did you mean 'yhat'?"]),
        ("fit nowhere.csv", ["no file 'nowhere.csv'"]),
        ("fit held.txt", ["neither .csv nor .parquet"]),
        ("fit held.csv --pred yhat --truth y --corrector tweedy", ["unknown corrector 'tweedy'", "'tweedie'"]),
        ("fit held.csv --pred yhat --truth y --corrector linear --density target", ["--density is for tweedie"]),
        ("fit held.csv --pred yhat --truth y --density both", ["density is 'both'", "'target'"]),
        ("fit flat.csv --pred yhat --truth y", ["all 3 truths are 1", "without variance"]),
        ("fit two.csv --pred yhat --truth y", ["2 samples", "at least 3"]),
        ("fit holes.csv --pred yhat --truth y", ["'predictions'", "rows 2, 3"]),
        ("transform nowhere.json held.csv", ["cannot read the correction in nowhere.json", "debias fit"]),
        ("transform held.csv held.csv", ["this is not a correction"]),
        ("transform c.json trial.parquet --pred yhat --name id", ["already has a column 'id'", "--name"]),
        ("transform c.json trial.parquet --pred yhat --out x.xlsx", ["neither .csv nor .parquet"]),
        ("effect c.json trial.parquet --pred yhat --treatment aids", ["no column 'aids'", "did you mean 'aid'?"]),
        ("effect c.json trial.parquet --pred yhat --treatment id", ["labels other than 0 and 1", "rows 3, 4"]),
        ("effect c.json trial.parquet --pred yhat --treatment aid --estimator ht", ["needs a propensity"]),
        ("effect c.json odd.csv --pred yhat --treatment aid --propensity e", ["'propensity'", "[0, 1], in row 2"]),
        ("effect c.json odd.csv --pred yhat --treatment aid --weights w", ["'weights'", "negative", "row 3"]),
        ("effect c.json odd.csv --pred yhat --treatment aid --weights v", ["'weights'", "infinite, in row 4"]),
        ("effect c.json odd.csv --pred yhat --treatment aid --weights ww", ["no column 'ww'", "did you mean 'w'?"]),
        ("compare two.csv --pred yhat --truth y", ["2 samples", "at least 3"]),
        ("compare flat.csv --pred yhat --truth y", ["all 3 truths are 1", "without variance"]),
        ("effect c.json trial.parquet --pred yhat --treatment aid --level 95", ["--level 95", "between 0 and 1"]),
    ],
)
def test_one_sentence_names_cause_and_fix(cli: Any, tables: None, arguments: str, words: list[str]) -> None:
    cli(*FIT, "--out", "c.json")
    pd.DataFrame({"yhat": [1, 2, 3], "y": [1, 1, 1]}).to_csv("flat.csv", index=False)
    pd.DataFrame({"yhat": [1, 2], "y": [1, 2]}).to_csv("two.csv", index=False)
    odd = {"yhat": 1.0, "aid": [0, 1, 0, 1], "e": [0.5, 2, 0.5, 0.5], "w": [1, 1, -1, 1], "v": [1, 1, 1, np.inf]}
    pd.DataFrame(odd).to_csv("odd.csv", index=False)
    Path("holes.csv").write_text("yhat,y\n1,1\n,2\ninf,3\n4,4\n")
    said = cli("debias", *arguments.split()).refusal()
    assert all(word in said for word in words), said
    assert not Path("x.xlsx").exists()


def test_the_shipped_file_is_json(cli: Any, tables: None) -> None:
    cli(*FIT, "--out", "map.json")
    whole = json.loads(Path("map.json").read_text())
    assert whole["format"] == "pilothouse-correction-1"
    assert whole["corrector"] == "tweedie"
