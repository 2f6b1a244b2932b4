"""The correctors by name, and reading one from the JSON that was shipped with a set of predictions."""

from __future__ import annotations

import json
from typing import Any

from pilothouse.core.errors import nearest
from pilothouse.decisions.arrays import InputError
from pilothouse.decisions.correction import FORMAT, Correction, IdentityCorrection
from pilothouse.decisions.linear_calibration import LinearCalibration
from pilothouse.decisions.tweedie import TweedieCorrection

CORRECTIONS: dict[str, type[Correction]] = {
    kind.kind: kind for kind in (LinearCalibration, TweedieCorrection, IdentityCorrection)
}


def find_correction(name: str) -> type[Correction]:
    """Return the corrector called "linear", "tweedie" or "identity".

    Raises:
        InputError: nothing is called that.
    """
    if name not in CORRECTIONS:
        raise InputError(f"unknown corrector '{name}'{nearest(name, CORRECTIONS)}")
    return CORRECTIONS[name]


def read_correction(text: str | bytes) -> Correction:
    """Return the fitted corrector that ``Correction.to_json`` wrote.

    Raises:
        InputError: the text is something else.
    """
    try:
        whole: dict[str, Any] = json.loads(text)
        if whole.get("format") != FORMAT:
            raise InputError(f"this is not a correction: its format is {whole.get('format')!r}, not '{FORMAT}'")
        found = find_correction(str(whole["corrector"]))(**whole["settings"])
        return found.restore(whole["fitted"], whole["diagnostics"])
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"this is not a correction ({error}): make one with 'pilothouse debias fit'") from None
