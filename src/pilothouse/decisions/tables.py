"""Tables in CSV and Parquet: read, written, and columns found by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pilothouse.core.errors import ConfigError, DataError, nearest
from pilothouse.decisions.arrays import InputError

if TYPE_CHECKING:
    import pandas as pd

PART_ROWS = 100_000  #: rows of a CSV file that are in memory with columns that nobody asked for

#: Endings that are read and written.
KINDS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}


def table_kind(path: Path) -> str:
    """Return "csv" or "parquet" by a file's ending.

    Raises:
        ConfigError: it ends in something else.
    """
    try:
        return KINDS[path.suffix.lower()]
    except KeyError:
        raise ConfigError(f"'{path}' ends in neither .csv nor .parquet: give it the ending of what it holds") from None


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the table in a file.

    Args:
        path: a CSV file with a line of names, or a Parquet file.
        columns: the columns to read; by default all of them. What is not read takes no memory.

    Raises:
        ConfigError: the ending is unknown, or pandas is not installed.
        DataError: the file cannot be read or has no rows.
        InputError: a column is not there; the message offers the nearest name.
    """
    kind, pandas = table_kind(path), _pandas()
    try:
        for name in columns or ():
            _check(name, _names(path, kind, pandas), str(path))
        wanted = None if columns is None else list(dict.fromkeys(columns))
        table = _csv(path, wanted, pandas) if kind == "csv" else pandas.read_parquet(path, columns=wanted)
    except FileNotFoundError:
        raise DataError(f"there is no file '{path}'") from None
    except InputError:
        raise
    except (OSError, ValueError) as error:  # pandas' and pyarrow's own complaints about what they read are ValueErrors
        reason = " ".join(str(error).split())
        raise DataError(f"cannot read '{path}' as {kind}: {reason}") from None
    if table.empty:
        raise DataError(f"'{path}' has no rows")
    return table


def _csv(path: Path, wanted: list[str] | None, pandas: Any) -> pd.DataFrame:
    """Read all fields of a part of the rows at a time: told which columns to read, pandas lets broken rows through."""
    with pandas.read_csv(path, chunksize=PART_ROWS) as parts:
        kept = [part if wanted is None else part[wanted] for part in parts]
    return pandas.concat(kept, ignore_index=True)


def write_table(table: pd.DataFrame, stream: BinaryIO, kind: str) -> None:
    """Write a table to an open file; that it is whole or not there is the business of who opened it.

    Args:
        table: what to write; its index is left out.
        stream: open for writing bytes.
        kind: "csv" or "parquet", as from ``table_kind``.
    """
    if kind == "csv":
        table.to_csv(stream, index=False)
    else:
        table.to_parquet(stream, index=False)


def column(table: pd.DataFrame, name: str) -> Any:
    """Return a column, a pandas Series.

    Args:
        table: a table.
        name: the column's name.

    Raises:
        InputError: it is not there; the message offers the nearest name.
    """
    _check(name, [str(known) for known in table.columns], "the table")
    return table[name]


def _check(name: str, known: Sequence[str], where: str) -> None:
    if name not in known:
        raise InputError(f"{where} has no column '{name}'{nearest(name, known)}")


def _names(path: Path, kind: str, pandas: Any) -> list[str]:
    if kind == "csv":
        return [str(name) for name in pandas.read_csv(path, nrows=0).columns]
    from pyarrow.parquet import read_schema

    return list(read_schema(path).names)


def _pandas() -> Any:
    try:
        import pandas
        import pyarrow  # noqa: F401 - what pandas reads Parquet with
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pandas", "pyarrow"):
            raise
        raise ConfigError(
            "tables need pandas and pyarrow; install them with: pip install 'pilothouse[decisions]'"
        ) from None
    return pandas
