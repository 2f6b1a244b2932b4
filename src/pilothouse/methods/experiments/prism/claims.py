"""From figures to claims: every bar is the specification's, set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.measured import claim, mean, over
from pilothouse.methods.experiments.prism.stream import closed
from pilothouse.reports.statistics import Interval

Runs = Sequence[Mapping[str, Mapping[str, float]]]

DUAL, CLOSED, THIRD, BENCH = 0.95, 1.8, 0.80, 0.97
LOUD = {"1:3": 1.02, "3:1": 1.08}


def stream_claims(runs: Runs) -> tuple[Claim, ...]:
    """Return the three claims on the synthetic stream.

    Args:
        runs: what ``stream`` returned, a seed each.
    """
    dual = {at: over([run[at]["fast"] / run[at]["accept only"] for run in runs]) for at in runs[0]}
    shares = {at: over([closed(run[at], "margin") / closed(run[at], "random") for run in runs]) for at in runs[0]}
    loud = {at: over([run[at]["loud"] / run[at]["fast"] for run in runs]) for at in LOUD}
    worst_dual, worst_share = max(dual, key=lambda at: dual[at].estimate), min(shares, key=lambda at: _at(shares, at))
    tightest = min(loud, key=lambda at: loud[at].estimate - LOUD[at])
    asked = ", ".join(f"{at} {mean([run[at]['slow share'] for run in runs]):.0%}" for at in runs[0])
    return (
        claim(
            "a stream of known chances: the gate on need and acceptance costs less than one on acceptance alone, at "
            "costs 1:1, 1:3 and 3:1",
            f"at most {DUAL} times, in all three",
            dual[worst_dual],
            all(found.estimate <= DUAL for found in dual.values()),
            "ratio of costs, the worst",
            _all(dual),
        ),
        claim(
            "asking slowly near the threshold closes more of the gap between the fast and the slow estimate than "
            "asking as often at random",
            f"at least {CLOSED} times as much, at all three costs",
            shares[worst_share],
            all(found.estimate >= CLOSED for found in shares.values()),
            "ratio of shares, the worst",
            f"{_all(shares)}; events asked about: {asked}",
        ),
        claim(
            "over-confident chances (logits times 2.5) cost more than calibrated ones",
            " and ".join(f"at least {bar} times at {at}" for at, bar in LOUD.items()),
            loud[tightest],
            all(loud[at].estimate >= bar for at, bar in LOUD.items()),
            "ratio of costs, the tightest",
            _all(loud),
        ),
    )


def record_claim(runs: Runs, what: str) -> Claim:
    """Return the claim that the selected third of a teacher's records teaches a cheaper student than all of them.

    Args:
        runs: what ``records`` or ``distilled`` returned, a seed each.
        what: who the student is.
    """
    ratio = over([run["RDC third"]["cost"] / run["all"]["cost"] for run in runs])
    costs = ", ".join(f"{arm} {mean([run[arm]['cost'] for run in runs]):.3f}" for arm in runs[0])
    alarms = ", ".join(f"{arm} {mean([run[arm]['false alarm'] for run in runs]):.3f}" for arm in ("all", "RDC third"))
    return claim(
        f"{what} taught with the third of a teacher's records that scores best in R_DC, at costs 1:3",
        f"costs at most {THIRD} times what one taught with all of them does",
        ratio,
        ratio.estimate <= THIRD,
        "ratio of costs",
        f"cost an event: {costs}; false alarms: {alarms}",
    )


def bench_claim(found: Mapping[str, Any], costs: Sequence[str]) -> Claim:
    """Return the claim on ProactiveBench's offers.

    Args:
        found: what ``bench`` returned.
        costs: the costs it is on, as "C_FA:C_FN".
    """
    others = ("always", "never", "fixed 0.5", "accept only")
    ratios = {at: found[at]["dual"] / min(found[at][arm] for arm in others) for at in costs}
    worst = max(ratios.values())
    return claim(
        "ProactiveBench, traces held out: the gate costs less than the best of always, never, 0.5 and acceptance alone",
        f"at most {BENCH} times, at {' and '.join(costs)}",
        Interval(worst, worst, worst, 0.0, int(found["traces"])),
        worst <= BENCH,
        "ratio of costs, the worst",
        ", ".join(f"{at}: {ratio:.3f}" for at, ratio in ratios.items()),
    )


def answer_claims(runs: Sequence[Mapping[str, Any]]) -> tuple[Claim, ...]:
    """Return the claims on PubMedQA's questions; the bars are those of ProactiveBench and of the stream.

    Args:
        runs: what ``answers`` returned, a seed each.
    """
    costs = [run["costs"] for run in runs]
    plain = {at: _against(costs, at, "fast", ("always", "never")) for at in costs[0]}
    dual = {at: _against(costs, at, "margin", ("always", "never", "fixed 0.5", "accept only")) for at in costs[0]}
    shares = {at: over([closed(run[at], "margin") / closed(run[at], "random") for run in costs]) for at in costs[0]}
    worst_plain, worst_dual = (_worst(found) for found in (plain, dual))
    worst_share = min(shares, key=lambda at: _at(shares, at))
    ece, brier = (
        over([run[f"{name} fast, after"] - run[f"{name} fast, before"] for run in runs]) for name in ("ECE", "Brier")
    )
    asked = ", ".join(f"{at} {mean([run[at]['slow share'] for run in costs]):.0%}" for at in costs[0])
    what, where = "PubMedQA, answer or defer", f"in all of {', '.join(costs[0])}"
    return (
        claim(
            f"{what}: the gate on a calibrated chance of being right costs less than always and than never answering",
            f"at most {BENCH} times the better, {where}",
            plain[worst_plain],
            all(found.estimate <= BENCH for found in plain.values()),
            "ratio of costs, the worst",
            _all(plain),
        ),
        claim(
            f"{what}: the gate that reads the conclusion near its threshold costs less than the best of always, never, "
            "0.5 and the gate that never reads it",
            f"at most {BENCH} times, {where}",
            dual[worst_dual],
            all(found.estimate <= BENCH for found in dual.values()),
            "ratio of costs, the worst",
            _all(dual),
        ),
        claim(
            f"{what}: reading the conclusion near the threshold closes more of the gap to reading it always than "
            "reading as many at random",
            f"at least {CLOSED} times as much, {where}",
            shares[worst_share],
            all(found.estimate >= CLOSED for found in shares.values()),
            "ratio of shares, the worst",
            f"{_all(shares)}; conclusions read: {asked}",
        ),
        claim(
            f"{what}: a temperature lowers the calibration error of the chance of being right",
            "ECE falls, the interval too, and the Brier score does not rise",
            ece,
            ece.high < 0 and brier.estimate <= 0,
            "ECE",
            f"ECE {mean([r['ECE fast, before'] for r in runs]):.3f} before, "
            f"{mean([r['ECE fast, after'] for r in runs]):.3f} after; Brier {brier.estimate:+.4f}",
        ),
    )


def _against(costs: Sequence[Mapping[str, Mapping[str, float]]], at: str, arm: str, others: Sequence[str]) -> Interval:
    return over([run[at][arm] / min(run[at][other] for other in others) for run in costs])


def _worst(found: Mapping[str, Interval]) -> str:
    return max(found, key=lambda at: found[at].estimate)


def _at(found: Mapping[str, Interval], name: str) -> float:
    return found[name].estimate


def _all(found: Mapping[str, Interval]) -> str:
    return "; ".join(f"{at}: {i.estimate:.3f} [{i.low:.3f}, {i.high:.3f}]" for at, i in found.items())
