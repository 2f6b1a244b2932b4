"""What kind of machine this is, without its name."""

from __future__ import annotations

import os
import platform

_ARCHITECTURES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "arm64"}


def machine_class() -> str:
    """Return cores, architecture and accelerator, such as ``"2-core x86-64 CPU"`` or the same with ``", NVIDIA H100"``.

    Never a host's name: figures are for others to compare with, not to find the machine.
    """
    import torch

    architecture = platform.machine().lower()
    found = f"{os.cpu_count() or 1}-core {_ARCHITECTURES.get(architecture, architecture)} CPU"
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        found += f", {f'{count} x ' if count > 1 else ''}{torch.cuda.get_device_name(0)}"
    elif torch.backends.mps.is_available():
        found += ", Apple GPU"
    return found
