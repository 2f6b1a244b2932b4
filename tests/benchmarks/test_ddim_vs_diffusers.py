"""The benchmark of DDIM compares equal work: both sides draw the same chunks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from pilothouse.policies.denoisers import ResidualMLP

SOURCE = Path(__file__).parents[2] / "benchmarks" / "ddim_vs_diffusers.py"


def test_both_sides_draw_the_same_chunks() -> None:
    pytest.importorskip("diffusers")
    spec = importlib.util.spec_from_file_location("ddim_vs_diffusers", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with torch.no_grad():
        both = module.ways(module.network(ResidualMLP(width=16, blocks=1)), 3)
        ours, theirs = both["ours"](), both["diffusers"]()
    assert ours.abs().max() > 0
    assert torch.allclose(ours, theirs, atol=1e-5)
