"""Pilothouse: policies — learn them, sample and search with them, decide when and which to use.

Everything public is reachable from here and loaded on first use, so that ``import pilothouse`` stays quick and pulls
in neither PyTorch nor any optional package.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Card": "core.cards",
    "Claim": "core.cards",
    "Evidence": "core.cards",
    "Episode": "core.episodes",
    "Segment": "core.episodes",
    "Posed": "core.problems",
    "Problem": "core.problems",
    "Score": "core.problems",
    "ScoreStatus": "core.problems",
    "Call": "core.requests",
    "Logprob": "core.requests",
    "Sample": "core.requests",
    "StopReason": "core.requests",
    "Value": "core.requests",
    "Cost": "core.results",
    "Result": "core.results",
    "Rollouts": "core.rollouts",
    "SeedTree": "core.seeds",
    "PilothouseError": "core.errors",
}

__all__ = sorted([*_WHERE, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module 'pilothouse' has no attribute '{name}'")
    return getattr(importlib.import_module(f"pilothouse.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
