"""Debiasing: a squared-error model's predictions are pulled to the mean; undo it once, then analyse any trials.

calibration split, out of sample for the model: (yhat_j, y_j)
linear:  yhat = m + k y by least squares;                  corrected (yhat - m) / k
Tweedie: sigma = std(yhat - y), s = (log density of yhat)'; corrected yhat - sigma^2 s(yhat)
any trial after it: a difference of means of corrected predictions, with the error of units and of the calibration
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.debiasing import reproduce

METHOD = Method(
    card=Card(
        name="debiasing",
        title="undoes the shrinkage of predictions, so that effects estimated from them are not too small",
        paper="Debiasing Machine Learning Predictions for Causal Inference Without Additional Ground Truth Data: 'One "
        "Map, Many Trials' in Satellite-Driven Poverty Analysis",
        source="arXiv 2508.01341",
        year=2025,
        family="decisions",
        formula="linear: (yhat - m) / k from yhat = m + k y; Tweedie: yhat - sigma^2 d/dyhat log p(yhat)",
        settings="Scott's bandwidth, central difference of max(1e-3 std, 1e-8), population sigma, density of the "
        "calibration split (--density target is the simulations')",
        departures="the score is read from a table, off by at most 1e-3 / bandwidth; warnings where residuals go with "
        "predictions or the density is one kernel's tail; the bootstrap counts units and, given the pairs, calibration",
        claim="50 simulated trials: slope of estimated on true effects 0.54 naive, 1.01 linear, 1.00 Tweedie; aid "
        "trials on a wealth map: linear 1.22, Tweedie 1.00",
        when="predictions, rewards or judges' scores are reused as an outcome, and there is a held-out labelled split; "
        "not where features see the treatment otherwise than through the outcome, which no later correction fixes",
    ),
    reproduce=reproduce,
)
