"""The rule of a cost-sensitive gate: when to act on a chance that acting is welcome.

Speaking costs C_FA when it is not accepted; silence costs C_FN when help was needed and would have been accepted. So
speaking is worth it when C_FA (1 - p_acc) <= C_FN p_need p_acc, that is when p_acc >= C_FA / (C_FA + p_need C_FN).
The functions are plain arithmetic: numbers, numpy arrays and tensors alike. Source: PRISM, arXiv 2602.01532.
"""

from __future__ import annotations

from typing import Any


def threshold(p_need: Any, c_fa: Any, c_fn: Any) -> Any:
    """Return the acceptance probability from which speaking is worth it; 1 where help is not needed.

    Args:
        p_need: chance that help is needed.
        c_fa: cost of a false alarm, above 0.
        c_fn: cost of a miss, above 0.
    """
    return c_fa / (c_fa + p_need * c_fn)


def utility(p_need: Any, p_acc: Any, c_fa: Any, c_fn: Any) -> Any:
    """Return the expected cost of silence less that of speaking: from 0 on, speaking is worth it.

    Args:
        p_need: chance that help is needed.
        p_acc: chance that an offer is accepted.
        c_fa: cost of a false alarm, above 0.
        c_fn: cost of a miss, above 0.
    """
    return c_fn * p_need * p_acc - c_fa * (1 - p_acc)
