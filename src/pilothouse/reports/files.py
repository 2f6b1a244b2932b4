"""Files that are whole or not there: atomic writes, appended rows, and disk errors as a sentence."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pilothouse.core.errors import RunError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn any failure of the disk within the block into one sentence.

    Args:
        path: the file or folder being written.

    Raises:
        RunError: the disk is full, the folder is not writable or not a folder.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; free space or give another folder with --out "
            "(what was saved before is intact)"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a temporary file that takes the place of ``path`` when the block succeeds, and vanishes when it fails.

    Args:
        path: the file to write; its folders are made.

    Raises:
        RunError: it cannot be written; what ``path`` held before is untouched.
    """
    partial = path.with_name(f".{path.name}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def path_name(text: str) -> str:
    """Return a text as one name of a file or folder: only letters, digits and ``. = + -``, at most 120 of them."""
    return re.sub(r"[^\w.=+-]+", "_", text)[:120]


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    with replacing(path) as stream:
        stream.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document whole or not at all; NaN and infinities become null.

    Raises:
        RunError: it cannot be written.
    """
    write_text(path, dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Return the JSON document in a file.

    Raises:
        RunError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunError(
            f"{path} is not there: the run stopped before it was written; continue it with --resume"
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}; restore it from a copy, or start the run again") from error


def dumps(value: Any, indent: int | None = None) -> str:
    """Return ``value`` as strict JSON: NumPy scalars and arrays as numbers and lists, NaN and infinities as null."""
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:  # only rows that hold such a number pay for the walk
        return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append JSON lines and hand them to the operating system; a failed append leaves the file as it was.

    Args:
        path: a JSONL file, made when missing.
        rows: JSON-ready rows.

    Raises:
        RunError: they cannot be written.
    """
    data = "".join(dumps(row) + "\n" for row in rows).encode(errors="replace")
    with writing(path), path.open("ab", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        try:
            view = memoryview(data)
            while view:
                view = view[stream.write(view) :]
        except OSError:
            with suppress(OSError):  # a half-written last line that stays is left out when read
                os.ftruncate(stream.fileno(), size)
            raise


def read_rows(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield every whole row of a JSONL file with the bytes of its line; a half-written last line is left out.

    Args:
        path: a JSONL file; a missing one has no rows.

    Raises:
        RunError: a line before the last is not JSON, or the file cannot be read.
    """
    if not path.exists():
        return
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    row = json.loads(line)
                except ValueError:
                    raise RunError(f"{path}, line {number} is damaged: delete that line to go on without it") from None
                yield line, row
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}; make it readable") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return _finite(_plain(value))
