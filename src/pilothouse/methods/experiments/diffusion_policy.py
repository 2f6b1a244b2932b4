"""The claim of diffusion policy, as an experiment."""

from __future__ import annotations

from pathlib import Path

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.reports.progress import Progress


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the claim's experiment.

    Raises:
        ConfigError: there is none at this scale yet.
    """
    raise ConfigError(f"diffusion-policy has no experiment at scale '{scale}' yet")
