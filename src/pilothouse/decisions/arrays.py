"""Columns of figures from numpy, pandas, torch or lists: checked, with row numbers where something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pilothouse.core.errors import DataError

_SHOWN = 5  #: row numbers a message names


class InputError(DataError, ValueError):
    """Values that cannot be used; also a ``ValueError``, which users of scikit-learn expect."""


def vector(values: Any, name: str, *, missing: bool = False) -> np.ndarray:
    """Return [n] finite float64 figures.

    Args:
        values: a list, a numpy array, a pandas Series or a torch tensor of one dimension; [n, 1] counts as one.
        name: what to call them in messages: a column's name.
        missing: let NaN through, where it means that a figure is not known.

    Raises:
        InputError: they are not numbers, are not finite (the rows are named), have another shape, or there are none.
    """
    array = _numbers(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(f"'{name}' has shape {array.shape}: give one figure a row")
    if not len(array):
        raise InputError(f"'{name}' has no rows: give at least one")
    wrong = np.isinf(array) if missing else ~np.isfinite(array)
    if wrong.any():
        raise InputError(f"'{name}' has {wrong.sum()} values that are NaN or infinite, in {rows(wrong)}: remove them")
    return array


def probabilities(values: Any, name: str) -> np.ndarray:
    """Return [n] figures in [0, 1].

    Args:
        values: as for ``vector``.
        name: what to call them in messages.

    Raises:
        InputError: as ``vector``, or a figure is outside [0, 1]; the rows are named.
    """
    array = vector(values, name)
    wrong = (array < 0) | (array > 1)
    if wrong.any():
        example = array[wrong][0]
        raise InputError(
            f"'{name}' has {wrong.sum()} values outside [0, 1], in {rows(wrong)} (the first is {example:g}): a "
            "probability lies between 0 and 1; squash logits through a sigmoid, divide percentages by 100"
        )
    return array


def positive(values: Any, name: str) -> np.ndarray:
    """Return [n] figures above 0.

    Args:
        values: as for ``vector``; a single number is one row.
        name: what to call them in messages.

    Raises:
        InputError: as ``vector``, or a figure is 0 or negative; the rows are named.
    """
    array = vector(np.atleast_1d(_numbers(values, name)), name)
    wrong = array <= 0
    if wrong.any():
        where = f", in {rows(wrong)}" if len(array) > 1 else ""
        raise InputError(f"'{name}' is {array[wrong][0]:g}{where}: it must be greater than 0")
    return array


def binary(values: Any, name: str, *, missing: bool = False) -> np.ndarray:
    """Return [n] labels, each 0 or 1, as float64.

    Args:
        values: as for ``vector``; booleans count as 0 and 1.
        name: what to call them in messages.
        missing: let NaN through, where it means that a label is not known.

    Raises:
        InputError: as ``vector``, or a label is something else; the rows are named.
    """
    array = vector(values, name, missing=missing)
    wrong = ~np.isin(array, (0, 1)) & ~np.isnan(array)
    if wrong.any():
        raise InputError(f"'{name}' has labels other than 0 and 1, in {rows(wrong)} (the first is {array[wrong][0]:g})")
    return array


def same_length(columns: Mapping[str, np.ndarray]) -> int:
    """Return how many rows all columns have.

    Args:
        columns: by name, at least one.

    Raises:
        InputError: they differ in length.
    """
    (first, array), *others = columns.items()
    for name, other in others:
        if len(other) != len(array):
            raise InputError(f"'{name}' has {len(other)} rows and '{first}' has {len(array)}: give one a row in both")
    return len(array)


def like(given: Any, found: np.ndarray) -> Any:
    """Return figures as the kind of thing that was given: a pandas Series with its index, a torch tensor, or numpy.

    Args:
        given: what the user handed in, [n].
        found: [n] what was computed of it.
    """
    if type(given).__module__.partition(".")[0] == "pandas":
        import pandas as pd

        return pd.Series(found, index=given.index)
    if type(given).__module__.partition(".")[0] == "torch":
        import torch

        tensor = torch.as_tensor(found, device=given.device)
        return tensor.to(given.dtype) if tensor.is_floating_point() and given.is_floating_point() else tensor
    return found


def rows(wrong: np.ndarray) -> str:
    """Return where a condition holds, in words; the first row is row 1.

    Args:
        wrong: [n] booleans, at least one of them true.
    """
    numbers = (np.flatnonzero(wrong) + 1).tolist()
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return f"rows {', '.join(map(str, numbers[:_SHOWN]))}{more}"


def _numbers(values: Any, name: str) -> np.ndarray:
    """Return float64 figures of any shape; what has no value (``None``, ``pd.NA``, an empty cell) becomes NaN."""
    if hasattr(values, "detach"):  # a torch tensor, perhaps on another device, perhaps of half precision
        values = values.detach().cpu().double().numpy()
    try:
        if hasattr(values, "to_numpy"):
            return values.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(_not_numbers(values, name)) from None


def _not_numbers(values: Any, name: str) -> str:
    for at, value in enumerate(np.ravel(np.asarray(values, dtype=object))):
        try:
            float(value)
        except (TypeError, ValueError):
            return f"'{name}' is not a number in row {at + 1}: {str(value)[:40]!r}"
    return f"'{name}' cannot be read as numbers: give one figure a row"
