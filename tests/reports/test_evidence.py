from __future__ import annotations

import json
import math

import pytest

from pilothouse.core.cards import Card, Claim, Evidence, Verdict
from pilothouse.core.errors import RunError
from pilothouse.reports.claims import Row, print_claims
from pilothouse.reports.evidence import measured, print_evidence, read_evidence, write_evidence

GAIN = Claim("learns [more] than chance", "gain > 0", 4.25, 1.1, 7.3, 0.95, True, "points", 5, "seed 3 was slow")
EXACT = Claim("equals its limit", "0 differences", 1.0, 1.0, 1.0, 0.0, False, "", 64)
CARD = Card("lite-ppo", "t", "p", "arXiv 2508.08221", 2025, "credit", "f", "s", "d", "beats [much] more")
EVIDENCE = Evidence(
    "lite-ppo",
    "small",
    (GAIN, EXACT),
    Verdict.PARTLY,
    {"seeds": [1, 2]},
    12.5,
    "pilothouse reproduce lite-ppo",
    "a.png",
)


def test_evidence_comes_back_as_it_was(tmp_path):
    path = write_evidence(EVIDENCE, tmp_path / "evidence")
    assert path == tmp_path / "evidence" / "lite-ppo-small.json"
    assert read_evidence(path) == EVIDENCE
    assert isinstance(read_evidence(path).verdict, Verdict)


def test_an_unbounded_interval_reads_as_nan(tmp_path):
    claim = Claim("one seed", "none", 1.0, -math.inf, math.inf, 0.95, False, "points", 1)
    (read,) = read_evidence(write_evidence(Evidence("m", "smoke", (claim,), Verdict.SMOKE), tmp_path)).claims
    assert math.isnan(read.low)
    assert math.isnan(read.high)
    assert measured(read) == measured(claim) == "1 points [?, ?]"


@pytest.mark.parametrize("text", ["{}", "[]", '{"claims": [{"x": 1}], "verdict": "reproduced"}', '{"claims": [3]}'])
def test_what_is_no_evidence_is_a_sentence(tmp_path, text):
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(RunError, match="holds no evidence"):
        read_evidence(tmp_path / "e.json")


def test_table_shows_claim_bar_figure_and_verdict(console):
    print_evidence(EVIDENCE, CARD, console)
    text = console.file.getvalue()
    assert "arXiv 2508.08221, 2025: beats [much] more" in text
    for piece in ("learns [more] than chance", "gain > 0", "reached", "missed", "95 % intervals", "reproduce lite-ppo"):
        assert piece in text
    assert "verdict partly reproduced" in text


def test_evidence_written_before_it_had_a_date_reads(tmp_path):
    path = write_evidence(EVIDENCE, tmp_path)
    table = json.loads(path.read_text())
    for name in ("date", "machine", "versions"):
        del table[name]
    path.write_text(json.dumps(table))
    assert read_evidence(path) == EVIDENCE
    assert (EVIDENCE.date, EVIDENCE.machine, EVIDENCE.versions, EVIDENCE.reached) == ("", "", {}, 1)


def test_a_claim_of_which_nothing_could_be_measured_has_none():
    assert measured(Claim("s", "b", math.nan, math.nan, math.nan, 0.0, False, "times", 0)) == "none"


def test_many_claims_in_one_table(console):
    left = [Row(name, None, "left", "the budget is spent") for name in ("grpo", "gspo")]
    print_claims(
        [Row("lite-ppo", EVIDENCE, "kept"), *left, Row("ppo", None, "failed", "no [disk]")], console, title="c"
    )
    text = console.file.getvalue()
    for piece in ("partly reproduced", "1 of 2", "12 s", "not measured", "kept", "left", "failed", "ppo: no [disk]"):
        assert piece in text
    assert "grpo, gspo: the budget is spent" in text, "a reason is told once"


def test_measured_has_unit_and_interval_unless_exact():
    assert measured(GAIN) == "4.25 points [1.1, 7.3]"
    assert measured(EXACT) == "1"
