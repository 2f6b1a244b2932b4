"""The ancestry of particles as a picture, and tokens of a recorded rollout."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from pilothouse.reports.ancestry import ancestry_svg
from pilothouse.reports.figures import BLUE
from pilothouse.reports.rollout_tokens import tokens_of

SVG = "{http://www.w3.org/2000/svg}"


def test_what_the_last_particles_descend_from_is_marked():
    rounds = [
        {"theta": [0.8, 0.1, 0.1], "ancestors": [0, 0, 1], "ess": 1.5, "resampled": True},
        {"theta": [0.5, 0.5, 0.0], "ancestors": [0, 1, 1], "ess": 2.0, "resampled": True},
        {"theta": [0.2, 0.3, 0.5], "ancestors": [0, 1, 2], "ess": 2.6, "resampled": False},
    ]
    drawn = ElementTree.fromstring(ancestry_svg(rounds))
    colours = [dot.get("fill") == BLUE for dot in drawn.iter(f"{SVG}circle")]
    assert colours == [True, False, False, True, True, False, True, True, True]
    lines = [path.get("stroke") == BLUE for path in drawn.iter(f"{SVG}path")]
    assert sum(lines) == 2 + 3
    assert [text.text for text in drawn.iter(f"{SVG}text")][:2] == ["1", "ess 1.5"]


def test_rounds_without_an_ancestry_have_no_picture():
    assert ancestry_svg([]) == ""
    assert ancestry_svg([{"step": 1, "ancestors": [0]}]) == ""


def test_damaged_rounds_are_drawn_as_far_as_they_go():
    rounds = [{"theta": [None, 1.0], "ancestors": [7, "x", -1]}, {"theta": [1.0], "ancestors": [0]}]
    assert ElementTree.fromstring(ancestry_svg(rounds)) is not None


def test_tokens_with_all_that_is_recorded_of_them():
    row = {"response": "ab", "tokens": [5, 6, 1], "widths": [1, 1, 0], "actions": "110", "trains": "010"}
    row |= {"logprobs": [-0.1, None, 0], "credit": 0.5, "gap": [0.25, None, None], "trained": True}
    first, second, third = tokens_of(row)
    assert (first.text, first.chosen, first.trains, first.credit, first.gap) == ("a", True, False, 0.5, 0.25)
    assert (second.text, second.trains, math.isnan(second.logprob), second.credit) == ("b", True, True, 0.5)
    assert (third.text, third.chosen, third.trains) == ("", False, False)


def test_a_response_that_trained_nothing():
    assert [t.trains for t in tokens_of({"response": "a", "tokens": [5], "actions": "1", "trained": False})] == [False]


def test_tokens_of_earlier_versions():
    assert tokens_of({"response": "text alone"}) == ()
    assert [t.text for t in tokens_of({"response": "ab", "tokens": [1, 2, 3]})] == ["a", "b", ""]
    assert [t.text for t in tokens_of({"response": "words", "tokens": [1, 2]})] == ["", ""]
    odd = tokens_of({"response": 3, "tokens": ["x"], "widths": [9], "actions": "11", "logprobs": [1, 2], "credit": "c"})
    assert (odd[0].ident, odd[0].text, odd[0].chosen, math.isnan(odd[0].logprob)) == (-1, "", True, True)
