from __future__ import annotations

import numpy as np
import pytest

from pilothouse.core.errors import DataError
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.trials import PseudoTrials, SyntheticTrial


def test_a_simulated_trial_has_the_effect_it_says() -> None:
    units = SyntheticTrial(1.5, SeedTree(0)).units("trial", 40_000)
    weights = units.treated / units.propensity - (1 - units.treated) / (1 - units.propensity)
    assert (weights * units.outcome).mean() == pytest.approx(1.5, abs=0.08)
    naive = units.outcome[units.treated == 1].mean() - units.outcome[units.treated == 0].mean()
    assert naive > 2.0, "treatment goes with the confounder"
    assert units.features.shape == (40_000, 100)


def test_units_are_drawn_by_name_and_share_a_network() -> None:
    trial = SyntheticTrial(0.0, SeedTree(0))
    first, again, other = trial.units("a", 50), trial.units("a", 50), trial.units("b", 50)
    assert (first.features == again.features).all()
    assert not (first.outcome == other.outcome).any()
    shifted = trial.units("a", 50, tau=3.0)
    assert shifted.outcome - first.outcome == pytest.approx(3 * first.treated)


def test_pseudo_trials_go_with_the_truth_in_both_directions() -> None:
    y = np.random.default_rng(0).normal(5, 2, size=400)
    trials = PseudoTrials(y, SeedTree(0))
    assert trials.treatment(0).mean() == 0.5
    found = trials.effects(50, lambda v, t: float(v[t == 1].mean() - v[t == 0].mean()), half=y / 2)
    assert found["true"].min() < -1 < 1 < found["true"].max()
    assert found["half"] == pytest.approx(found["true"] / 2)
    with pytest.raises(DataError, match="truths that differ"):
        PseudoTrials(np.ones(5), SeedTree(0))
