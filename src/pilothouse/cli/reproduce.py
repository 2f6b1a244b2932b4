"""``pilothouse reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from pilothouse.cli.app import Json, app, emit, line, plain_output
from pilothouse.core.errors import ConfigError

if TYPE_CHECKING:
    from pilothouse.methods.all_claims import AllClaims, Outcome

REPRODUCE_EXAMPLES = """Examples:

  One method's claim, with the figure and the JSON behind it:
    pilothouse reproduce treepo
  All of them, the cheapest first, within two hours:
    pilothouse reproduce --all --budget 2h
  Go on tomorrow with what is left, counting processor time:
    pilothouse reproduce --all --budget 3h-core

Interrupted, both continue when called again.
"""


@app.command(help_epilogue=REPRODUCE_EXAMPLES)
def reproduce(
    method: str = "",
    /,
    *,
    every: Annotated[bool, Parameter(name="--all")] = False,
    scale: str = "small",
    budget: str = "",
    fresh: bool = False,
    out: Path | None = None,
    as_json: Json = False,
) -> None:
    """Run the experiment behind a method's claim, or behind every method's; writes JSON and figures.

    Args:
        method: Which method.
        every: All methods, the cheapest first; what this version measured before is kept. Ends with a table.
        scale: 'smoke' takes seconds a method and gives no verdict, 'small' (the default) minutes on a CPU, 'gpu' a GPU.
        budget: Time for all together: 2h, 90m or 1h30m by the clock, 2h-core of processor time. Clock time stops the
            experiment under way; processor time is counted when one is done.
        fresh: With --all, measure again what is measured; what is there gets '.old' added to its name.
        out: Folder for the evidence, by default runs/reproduce-METHOD-SCALE; with --all the folder of those folders.
        as_json: Print the evidence as one JSON document on standard output.
    """
    if bool(method) == every:
        told = "give a method or --all, not both" if every else "which claim? give a method, or --all for every one"
        raise ConfigError(f"{told}: 'pilothouse reproduce treepo' or 'pilothouse reproduce --all --budget 2h'")
    if every:
        _every(scale, budget, fresh, out or Path("runs"), as_json)
        return
    if budget or fresh:
        raise ConfigError(
            "--budget and --fresh go with --all; a single method takes what it takes and runs whenever asked"
        )
    from pilothouse.methods.base import find_method
    from pilothouse.methods.measuring import claim_folder, measure
    from pilothouse.reports.evidence import print_evidence
    from pilothouse.reports.progress import make_progress

    found = find_method(method)
    with plain_output(as_json):
        evidence, path = measure(found, scale, out or claim_folder(Path("runs"), method, scale), make_progress())
    if as_json:
        emit(evidence.to_dict())
    else:
        print_evidence(evidence, found.card, Console())
        line(f"written to {path}")


def _every(scale: str, budget: str, fresh: bool, out: Path, as_json: bool) -> None:
    from pilothouse.core.budgets import TimeBudget
    from pilothouse.methods.all_claims import AllClaims, Outcome
    from pilothouse.methods.apart import reproduce_apart
    from pilothouse.methods.base import methods
    from pilothouse.reports.progress import make_progress

    limit = TimeBudget.parse(budget) if budget else None
    claims, outcomes = AllClaims(methods(), scale, out, limit, reproduce_apart), list[Outcome]()
    interrupted = False
    with plain_output(as_json):
        try:
            claims.run(make_progress(), outcomes, fresh=fresh)
        except KeyboardInterrupt:
            interrupted = True
    _report(claims, outcomes, interrupted, as_json)
    if interrupted:
        again = "the same command without --fresh" if fresh else "the same command"
        raise SystemExit(_told(f"stopped; what is done is kept under {out}, and {again} goes on from there", 130))
    if failed := [outcome.method for outcome in outcomes if outcome.state == "failed"]:
        raise SystemExit(_told(f"{len(failed)} failed: {', '.join(failed)}; the same command tries them again", 1))


def _report(claims: AllClaims, outcomes: list[Outcome], interrupted: bool, as_json: bool) -> None:
    from pilothouse.reports.claims import Row, print_claims

    if as_json:
        emit([outcome.to_dict() for outcome in outcomes])
        return
    known = {outcome.method: outcome for outcome in outcomes}
    rows = [Row(name, one.evidence, one.state, one.reason) for name, one in sorted(known.items())]
    if interrupted:
        rows += [Row(name, None, "stopped", "not begun or interrupted") for name in claims.methods if name not in known]
    print_claims(rows, Console(), title=f"claims at scale {claims.scale}, under {claims.out}")


def _told(sentence: str, status: int) -> int:
    Console(stderr=True).print(sentence, markup=False, highlight=False, soft_wrap=True)
    return status
