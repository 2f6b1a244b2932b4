"""Where things are kept that are slow to make and can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root(cache: str | Path | None = None) -> Path:
    """Return the folder of such things.

    Args:
        cache: that folder; by default ``$PILOTHOUSE_CACHE`` or ``~/.cache/pilothouse``.
    """
    return Path(cache or os.environ.get("PILOTHOUSE_CACHE") or Path.home() / ".cache" / "pilothouse").expanduser()
