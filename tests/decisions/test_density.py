"""The tabulated score against the direct sum over all samples."""

from __future__ import annotations

import numpy as np
import pytest

from pilothouse.decisions.arrays import InputError
from pilothouse.decisions.density import ScoreTable, score_table

RNG = np.random.default_rng(0)
SAMPLES = {
    "normal": RNG.normal(size=2000) * 5 + 3,
    "few": RNG.normal(size=150),
    "two heaps": np.concatenate([RNG.normal(-6, 0.3, 500), RNG.normal(5, 0.5, 700)]),
    "heavy tails": RNG.standard_t(3, size=1500),
}


def direct(samples: np.ndarray, v: np.ndarray, h: float, delta: float) -> np.ndarray:
    """The central difference of the log density, every kernel summed."""

    def log_density(at: np.ndarray) -> np.ndarray:
        powers = -0.5 * ((at[:, None] - samples) / h) ** 2
        top = powers.max(1, keepdims=True)
        return top[:, 0] + np.log(np.exp(powers - top).sum(1))

    return (log_density(v + delta) - log_density(v - delta)) / (2 * delta)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("rule", ["scott", "silverman", 0.5])
def test_it_is_the_direct_sum_to_the_stated_tolerance(name: str, rule: str | float) -> None:
    samples = SAMPLES[name]
    table = score_table(samples, bandwidth=rule)
    h, n = table.bandwidth, len(samples)
    factor = {"scott": n ** (-1 / 5), "silverman": (3 * n / 4) ** (-1 / 5)}.get(rule, rule)
    assert h == pytest.approx(factor * samples.std(ddof=1))
    v = np.linspace(samples.min() - 3 * h, samples.max() + 3 * h, 2001)
    error = np.abs(table(v) - direct(samples, v, h, 1e-3 * samples.std())) * h
    assert error.max() < (1e-2 if name == "heavy tails" else 1e-3)


def test_it_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    samples = SAMPLES["normal"]
    kernel, delta = stats.gaussian_kde(samples), 1e-3 * samples.std()
    v = np.linspace(samples.min(), samples.max(), 500)
    expected = (np.log(kernel(v + delta)) - np.log(kernel(v - delta))) / (2 * delta)
    assert score_table(samples)(v) == pytest.approx(expected, abs=1e-3 / score_table(samples).bandwidth)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score_table(SAMPLES["normal"]).values
    monkeypatch.setattr("pilothouse.decisions.density._CHUNK", 7)
    assert score_table(SAMPLES["normal"]).values == pytest.approx(whole, abs=1e-9)


def test_far_out_and_in_wide_gaps_the_nearest_sample_rules() -> None:
    samples = np.concatenate([RNG.normal(0, 1, 300), [1000.0]])
    table = score_table(samples, bandwidth=0.01)
    h = table.bandwidth
    far = np.array([1000 + 50 * h, 1000 - 30 * h, samples.min() - 40 * h])
    expected = np.array([-50 / h, 30 / h, 40 / h])
    assert table(far) == pytest.approx(expected, rel=2e-2)
    assert table.extreme(table(far)).all()
    assert not table.extreme(table(np.array([0.0])))


def test_one_and_the_same_after_json() -> None:
    table = score_table(SAMPLES["few"])
    again = ScoreTable.of(table.to_dict())
    v = np.linspace(-9, 9, 50)
    assert (again(v) == table(v)).all()


@pytest.mark.parametrize(
    ("samples", "settings", "words"),
    [
        (np.ones(5), {}, "all equal"),
        (np.arange(9.0), {"delta": 0.0}, "delta is 0"),
        (np.arange(9.0), {"delta": -1.0}, "delta is -1"),
        (np.arange(9.0), {"bandwidth": 0.0}, "bandwidth is 0"),
        (np.arange(9.0), {"bandwidth": "scot"}, "bandwidth is 'scot'"),
        (np.arange(9.0), {"bandwidth": 1e-6}, "look for outliers"),
        (np.arange(9.0), {"nodes": 0}, "nodes is 0"),
    ],
)
def test_what_cannot_be_estimated(samples: np.ndarray, settings: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        score_table(samples, **settings)
