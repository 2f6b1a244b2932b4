"""PRISM: speak only where the chance that an offer is accepted clears a threshold made of two costs and the need.

tau = C_FA / (C_FA + p_need C_FN);   speak iff p_acc >= tau
|p_acc - tau| <= delta: estimate both chances once more, slowly, with counterfactual checks
R_DC = y_acc - (q_need - y_need)^2 - 1{teacher sees a need} (q_acc - y_acc)^2: which of a teacher's records to learn
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.prism import reproduce
from pilothouse.programs.prism import Prism

METHOD = Method(
    card=Card(
        name="prism",
        title="decides whether to speak at all: a cost gate on calibrated need and acceptance, slow only when close",
        paper="PRISM: Festina Lente Proactivity - Risk-Sensitive, Uncertainty-Aware Deliberation for Proactive Agents",
        source="arXiv 2602.01532",
        year=2026,
        family="decisions",
        formula="speak iff p_acc >= C_FA / (C_FA + p_need C_FN); look again where |p_acc - tau| <= delta",
        settings="delta 0.1; temperatures in [0.05, 20]; the paper's costs are not known: 1 and 3 here",
        departures="official code not read; the loss's exact terms, the slow prompt and AUDBC are reconstructed; "
        "chances are read from the log-probabilities of yes and no instead of a schema's numbers",
        claim="ProactiveBench with Qwen3-8B: F1 86.61 %, false alarms 22.94 %, against 66.47 % and 50.22 % without; "
        "a margin of 0.1 sends 11 % of events to the slow estimate and is as good as sending all",
        when="an assistant that may stay silent, with costs somebody can name and calibrated chances; not where "
        "acceptance implies need, as one chance is enough then",
    ),
    reproduce=reproduce,
    search=Prism(),
)
