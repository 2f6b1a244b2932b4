"""Scores of a teacher's records by hand, and which records are kept."""

import numpy as np
import pandas as pd
import pytest

from pilothouse.decisions.selection import rdc_score, top_fraction


def test_scores_by_hand() -> None:
    # y_need, y_acc, q_need, q_acc: the second one's acceptance error is not charged, as the teacher saw no need.
    rows = np.array([(1, 1, 0.9, 0.8), (0, 0, 0.2, 0.9), (1, 0, 0.7, 0.6)])
    assert rdc_score(*rows.T) == pytest.approx([1 - 0.01 - 0.04, -0.04, -0.09 - 0.36])
    assert rdc_score(*(pd.Series(c, index=[4, 5, 6]) for c in rows.T)).index.tolist() == [4, 5, 6]
    assert rdc_score([1], [0], [0.5], [1.0]) == pytest.approx([-0.25 - 1])  # one half counts as a need


def test_the_top_keeps_the_order_of_records_and_the_earlier_of_equals() -> None:
    assert top_fraction([0.1, 0.9, 0.5, 0.9], 0.5).tolist() == [1, 3]
    assert top_fraction([0.5, 0.5, 0.5, 0.5], 0.5).tolist() == [0, 1]
    assert top_fraction([0.1, 0.9], 0.01).tolist() == [1]
    assert top_fraction([0.1, 0.9], 1.0).tolist() == [0, 1]


def test_strata_keep_their_shares() -> None:
    y = np.array([1, 1, 1, 1, 0, 0])
    scores = y + np.array([0.3, 0.1, 0.2, 0.0, 0.1, 0.2])
    assert set(y[top_fraction(scores, 0.5)]) == {1}  # accepted events win over all others
    assert top_fraction(scores, 0.5, stratify_by=y).tolist() == [0, 2, 5]


def test_what_cannot_be_scored_or_kept() -> None:
    with pytest.raises(ValueError, match="fraction is 0"):
        top_fraction([1.0], 0)
    with pytest.raises(ValueError, match="'stratify_by' has 1 rows and 'scores' has 2"):
        top_fraction([1.0, 2.0], 0.5, stratify_by=[1])
    with pytest.raises(ValueError, match="'y_acc' has labels other than 0 and 1, in row 1"):
        rdc_score([1], [0.5], [0.5], [0.5])
    with pytest.raises(ValueError, match="'q_need' has 1 values outside"):
        rdc_score([1], [1], [1.5], [0.5])
