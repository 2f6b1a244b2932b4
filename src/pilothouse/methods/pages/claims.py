"""``docs/claims.md``: what became of every claim, from the evidence alone."""

from __future__ import annotations

from collections.abc import Mapping

from pilothouse.core.cards import Card, Claim, Evidence, Verdict
from pilothouse.methods.base import Method
from pilothouse.methods.pages.markdown import made, prose
from pilothouse.reports.claims import Row
from pilothouse.reports.evidence import measured
from pilothouse.reports.tables import markdown_table

_TOP = """\
# Claims

What each method's paper says, what was stated and measured here, and whether the bar was reached. Bars were set
before anything was measured, and stayed. Some experiments were made larger or otherwise changed after a first run had
missed them; the method's page gives the first figures too. An estimate reaches its bar or misses it, whatever its
interval; where an interval reaches past the bar, the method's page says so. Brackets are intervals, of 95 % unless a
row says otherwise, over n independent units (seeds, batches, problems). These are small experiments on a CPU, with
policies that are trained here: they tell whether a mechanism works, not what it does at the paper's size.

    pilothouse reproduce NAME                      one of them, with figure and JSON
    pilothouse reproduce --all --budget 2h         all, the cheapest first
    pilothouse claims --evidence runs              what your own runs came to

Verdicts follow from the bars: *reproduced* when all are reached, *not reproduced* when none is, else *partly
reproduced*. Times are wall-clock on machines that did other work; older evidence counts its last call alone, not the
pieces that it read back from earlier ones. Nothing on this page is written by hand."""


def claims_page(methods: Mapping[str, Method], evidence: Mapping[str, Evidence]) -> str:
    """Return the page.

    Args:
        methods: all there are, by name.
        evidence: of those that were measured, by name.
    """
    rows = [
        [f"[{name}](#{name})" if row.evidence else f"[{name}](methods/{name}.md)", row.verdict, row.bars, row.time]
        for name, row in ((name, Row(name, evidence.get(name))) for name in methods)
    ]
    parts = [_TOP, f"## All methods\n\n{_count(methods, evidence)}"]
    parts.append(markdown_table(["method", "verdict", "bars reached", "time"], rows))
    parts.append("## Claim by claim")
    parts += [_section(method.card, evidence[name]) for name, method in methods.items() if name in evidence]
    return made("\n\n".join(parts))


def verdict_line(evidence: Evidence | None) -> str:
    """Return a method's verdict in a few words, such as ``"**reproduced**, 4 of 4 bars reached"``."""
    if evidence is None:
        return "**not measured**"
    return f"**{evidence.verdict}**, {evidence.reached} of {len(evidence.claims)} bars reached"


def _count(methods: Mapping[str, Method], evidence: Mapping[str, Evidence]) -> str:
    verdicts = [found.verdict for found in evidence.values()]
    told = ", ".join(f"{verdicts.count(v)} {v}" for v in (Verdict.REPRODUCED, Verdict.PARTLY, Verdict.NOT))
    reached, bars = sum(e.reached for e in evidence.values()), sum(len(e.claims) for e in evidence.values())
    return (
        f"{len(evidence)} of {len(methods)} methods are measured: {told}. Of {bars} bars {reached} are reached. The "
        "others wait to be measured: nothing is claimed of them."
    )


def _section(card: Card, evidence: Evidence) -> str:
    """One method: what the paper says, how it fared, and a row a claim."""
    told = [f"`{evidence.command}`", evidence.date, evidence.machine or "machine not recorded", Row("", evidence).time]
    if version := evidence.versions.get("pilothouse"):
        told.append(f"version {version}")
    rows = [
        [number, prose(claim.statement), prose(claim.bar), prose(_figure(claim)), claim.n, _reached(claim.passed)]
        for number, claim in enumerate(evidence.claims, 1)
    ]
    return "\n\n".join(
        [
            f"### {card.name}",
            f"The paper ({card.source}, {card.year}): {prose(card.claim)}.",
            f"Here: {verdict_line(evidence)}. {', '.join(piece for piece in told if piece)}. What it shows and what it "
            f"does not: [{card.name}](methods/{card.name}.md). Every figure: "
            f"[JSON](methods/{evidence.method}-{evidence.scale}.json).",
            markdown_table(["#", "statement", "bar", "measured", "n", ""], rows, padded=False),
        ]
    )


def _figure(claim: Claim) -> str:
    odd = f" ({100 * claim.level:g} %)" if claim.level not in (0, 0.95) else ""
    return measured(claim) + odd


def _reached(passed: bool) -> str:
    return "reached" if passed else "**missed**"
