"""``pilothouse debias``: corrections of predictions in CSV and Parquet."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App
from rich.console import Console

from pilothouse.cli.app import Json, app, emit, line
from pilothouse.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pilothouse.decisions.correction import Correction

DEBIAS_HELP = """Undo the shrinkage of predictions, so that effects estimated from them are not too small.

Fit once on rows that the model was not trained on, ship the file with the
predictions, and use it on any number of trials. Tables are CSV or Parquet.
"""
DEBIAS_EXAMPLES = """Examples:

  pilothouse debias compare held-out.csv --pred yhat --truth y
  pilothouse debias fit held-out.csv --pred yhat --truth y --out map.json
  pilothouse debias transform map.json villages.parquet --pred yhat
  pilothouse debias effect map.json trial.csv --pred yhat --treatment aid \\
    --calibration held-out.csv --truth y
"""
debias = App(name="debias", help=DEBIAS_HELP, help_epilogue=DEBIAS_EXAMPLES)
app.command(debias)


@debias.command
def fit(
    calibration: Path,
    /,
    *,
    pred: str = "prediction",
    truth: str = "truth",
    corrector: str = "tweedie",
    density: str = "calibration",
    out: Path = Path("correction.json"),
    as_json: Json = False,
) -> None:
    """Learn a correction from predictions and truths of a calibration split.

    Args:
        calibration: Table of rows that the model was not trained on.
        pred: Column of predictions.
        truth: Column of truths.
        corrector: tweedie (the default), linear or identity.
        density: Whose predictions Tweedie's density is of: calibration (the default) or target.
        out: Where the correction is written, as JSON.
        as_json: Print the diagnostics as one JSON document on standard output.
    """
    from pilothouse.decisions.corrections import find_correction
    from pilothouse.reports.files import write_text

    kind = find_correction(corrector)
    if density != "calibration" and corrector != "tweedie":
        raise ConfigError(f"--density is for tweedie; drop it, or take --corrector tweedie instead of {corrector}")
    found = kind(density=density) if corrector == "tweedie" else kind()  # type: ignore[call-arg]
    rows = _columns(calibration, pred, truth)
    with _told_on_stderr():
        found.fit(rows[pred], rows[truth])
    write_text(out, found.to_json() + "\n")
    facts = found.diagnostics
    if as_json:
        emit({**facts, "written": str(out)})
    else:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in facts.items() if isinstance(value, float))
        line(f"{corrector}, {facts['n']:,} pairs: {shown}")
        line(f"written to {out}")


@debias.command
def transform(
    correction: Path, table: Path, /, *, pred: str = "prediction", name: str = "corrected", out: Path | None = None
) -> None:
    """Add a column of corrected predictions to a table.

    Args:
        correction: What 'debias fit' wrote.
        table: Table with a column of predictions.
        pred: Column of predictions.
        name: Name of the new column.
        out: CSV or Parquet to write; by default beside the table, with '-corrected' in its name.
    """
    from pilothouse.decisions.tables import column, read_table, table_kind, write_table
    from pilothouse.reports.files import replacing

    found, target = _read(correction), out or table.with_stem(f"{table.stem}-corrected")
    kind, rows = table_kind(target), read_table(table)
    if name in rows.columns:
        raise ConfigError(f"{table} already has a column '{name}': name the new one with --name")
    with _told_on_stderr():
        rows[name] = found.transform(column(rows, pred))
    with replacing(target) as stream:
        write_table(rows, stream, kind)
    line(f"{len(rows):,} rows written to {target}")


@debias.command
def effect(
    correction: Path,
    table: Path,
    /,
    *,
    pred: str = "prediction",
    treatment: str = "treatment",
    propensity: str | None = None,
    weights: str | None = None,
    estimator: str = "",
    calibration: Path | None = None,
    truth: str = "truth",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Estimate the effect of a treatment on the outcome that was predicted, with its standard error.

    Args:
        correction: What 'debias fit' wrote.
        table: Table of the trial: a row a unit.
        pred: Column of predictions.
        treatment: Column of 0 and 1.
        propensity: Column of probabilities of treatment.
        weights: Column of weights.
        estimator: diff, ht or hajek; by default hajek where a propensity or weights are given, else diff.
        calibration: Table that the correction was learnt from: its error is counted too.
        truth: Column of truths in that table; its predictions are in --pred.
        level: Coverage of the interval.
        resamples: Bootstrap resamples of units.
        seed: Root of the resampling.
        as_json: Print the figures as one JSON document on standard output.
    """
    from pilothouse.decisions.tables import column

    if not 0 < level < 1 or resamples < 100:
        raise ConfigError(f"--level {level:g} --resamples {resamples}: give a level between 0 and 1, and at least 100")
    found, given = _read(correction), [name for name in (propensity, weights) if name]
    rows = _columns(table, pred, treatment, *given)
    known = _columns(calibration, pred, truth) if calibration else None
    with _told_on_stderr():
        result = found.effect(
            column(rows, pred),
            column(rows, treatment),
            column(rows, propensity) if propensity else None,
            column(rows, weights) if weights else None,
            estimator or ("hajek" if given else "diff"),
            calibration=None if known is None else (known[pred], known[truth]),
            level=level,
            resamples=resamples,
            seed=seed,
        )
    if as_json:
        emit(result.to_dict())
        return
    counted = "units" if known is None else "units and calibration"
    line(
        f"effect {result.estimate:.4g}, {100 * level:g} % interval [{result.low:.4g}, {result.high:.4g}], standard "
        f"error {result.se:.3g} over {counted} ({result.estimator}, {result.n:,} units)"
    )
    line(f"of the predictions as they are: {result.naive:.4g}")
    if known is None:
        line("the correction's own error is left out: give --calibration and --truth")


@debias.command
def compare(
    calibration: Path,
    /,
    *,
    pred: str = "prediction",
    truth: str = "truth",
    folds: int = 5,
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Compare the correctors on a calibration split by cross-validation, and recommend one.

    Args:
        calibration: Table of rows that the model was not trained on.
        pred: Column of predictions.
        truth: Column of truths.
        folds: Parts of the cross-validation.
        seed: Root of the shuffle.
        as_json: Print the comparison as one JSON document on standard output.
    """
    from rich.table import Table

    from pilothouse.decisions.compare_correctors import compare_correctors

    rows = _columns(calibration, pred, truth)
    found = compare_correctors(rows[pred], rows[truth], folds=folds, seed=seed)
    if as_json:
        emit(found.to_dict())
        return
    table = Table("corrector", "score", "slope", "error of a contrast", "of a prediction", "warnings", box=None)
    for row in found.rows:
        figures = (row.score, row.slope, row.contrast_rmse, row.rmse)
        table.add_row(row.corrector, *(f"{figure:.3f}" for figure in figures), str(row.warnings))
    Console().print(table)
    line(f"recommended: {found.recommended}. {found.reason}")


def _columns(path: Path, *names: str) -> Any:
    from pilothouse.decisions.tables import read_table

    return read_table(path, names)


def _read(path: Path) -> Correction:
    from pilothouse.decisions.corrections import read_correction

    try:
        return read_correction(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"cannot read the correction in {path}: {error.strerror or error}; make one with 'pilothouse debias fit'"
        ) from None


@contextmanager
def _told_on_stderr() -> Iterator[None]:
    """Print what a correction doubts, a line each, when all went well."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    for sentence in dict.fromkeys(str(item.message) for item in said):
        Console(stderr=True).print(f"warning: {sentence}", markup=False, highlight=False, soft_wrap=True)
