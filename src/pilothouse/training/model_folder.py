"""The ``model`` folder of a run: whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from pilothouse.core.errors import RunError
from pilothouse.reports.files import writing


def save_model(save: Callable[[Path], None], folder: Path) -> None:
    """Write a model whole or not at all; an older one stays until the new one is there.

    Args:
        save: writes it into a folder that it makes.
        folder: where it is to be.

    Raises:
        RunError: it cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with writing(folder):
            save(partial)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)
    except SafetensorError as error:  # how its writer reports a full disk
        raise RunError(f"cannot write {folder}: {error}; free space, then continue with --resume") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
