"""The inference engines of a survey as data: filtered, compared, and corrected by a file of one's own.

Source: A Survey on Inference Engines for Large Language Models, arXiv 2505.01658; every group of fields says where it
is from, of when, and how sure it is (``EngineCatalogue.sources``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from pilothouse.core.errors import ConfigError, DataError, nearest

DATA = Path(__file__).with_name("engines.toml")
CRITERIA = ("use", "deploy", "general", "scale", "throughput", "latency")


@dataclass(frozen=True)
class InferenceEngine:
    """One engine.

    Args:
        name: as the survey calls it.
        scores: by criterion, in [0, 1]: presence of features, not speed.
        devices: what it runs on.
        systems: operating systems of its host; "api" for hosted ones.
        precisions: number formats.
        techniques: optimisations it has.
        undisclosed: optimisations that are not known of it.
        organisation: who makes it.
        released: year and month.
        open: "yes", "partial" or "no".
        licence: as far as known.
        upkeep: how alive it is.
        hosted: a service, not a program.
        docs: 0 (none) to 3 (detailed).
        community: of "sns", "forum", "meetup".
        nodes: "single" or "multi".
        mix: "heterogeneous" or "homogeneous" devices.
        openai: speaks the OpenAI protocol by itself.
        launch: how its server starts.
        port: where it listens by default; 0 if hosted or unknown.
        home: where to find it.
    """

    name: str
    scores: Mapping[str, float]
    devices: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()
    precisions: frozenset[str] = frozenset()
    techniques: frozenset[str] = frozenset()
    undisclosed: frozenset[str] = frozenset()
    organisation: str = ""
    released: str = ""
    open: str = "yes"
    licence: str = ""
    upkeep: str = ""
    hosted: bool = False
    docs: int = 0
    community: frozenset[str] = frozenset()
    nodes: str = "single"
    mix: str = "homogeneous"
    openai: bool = False
    launch: str = ""
    port: int = 0
    home: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the record for JSON."""
        return {key: sorted(value) if isinstance(value, frozenset) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Wanted:
    """What an engine must satisfy. Every field narrows; what is empty or ``None`` is not asked for.

    Args:
        device: it runs on all of these.
        system: its host may be any of these.
        precision: it has all of these.
        technique: it has all of these; an undisclosed one fails unless ``allow_unknown``.
        open: only fully open ones.
        multi_node: only those that span nodes.
        openai: only those that speak the OpenAI protocol by themselves.
        offline: no hosted services.
        allow_unknown: take an undisclosed technique for there.
        feasible_only: what was measured on the device decides, not what the tables say.
    """

    device: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    precision: tuple[str, ...] = ()
    technique: tuple[str, ...] = ()
    open: bool = False
    multi_node: bool = False
    openai: bool = False
    offline: bool = False
    allow_unknown: bool = False
    feasible_only: bool = False


@dataclass(frozen=True)
class EngineCatalogue:
    """All engines, with what is known about the knowledge.

    Args:
        engines: in the survey's order.
        techniques: by code, what each is called.
        sources: by group of fields: what, where, dated, confidence, fields.
        doubts: cells that look wrong: engine (or "*"), field, why.
        feasible: by device, the engines that were run there and passed.
        prices: by model, then engine: USD per million tokens, in and out.
        gpu_hours: by device, then engine: USD an hour.
        dated: of when it all is.
    """

    engines: tuple[InferenceEngine, ...]
    techniques: Mapping[str, str]
    sources: Mapping[str, Mapping[str, Any]]
    doubts: tuple[Mapping[str, str], ...]
    feasible: Mapping[str, Sequence[str]]
    prices: Mapping[str, Mapping[str, Sequence[float]]]
    gpu_hours: Mapping[str, Mapping[str, float]]
    dated: str = ""
    changed: tuple[str, ...] = field(default=())

    @staticmethod
    def load(overlay: Path | None = None) -> EngineCatalogue:
        """Return the bundled catalogue, with a file of the same form laid over it.

        Args:
            overlay: TOML with ``[[engine]]`` tables (and ``[feasible]``, ``[prices]``): a known name replaces the
                fields it gives, a new one is added.

        Raises:
            DataError: the file cannot be read, or a field of it is unknown.
        """
        bundled = _bundled()
        return bundled if overlay is None else _laid_over(bundled, _read(overlay), str(overlay))

    def find(self, name: str) -> InferenceEngine:
        """Return the engine of that name, however it is capitalised.

        Raises:
            ConfigError: there is none; the message offers the nearest.
        """
        known = {engine.name.lower(): engine for engine in self.engines}
        try:
            return known[name.lower()]
        except KeyError:
            shown = {engine.name for engine in self.engines}
            hint = nearest(name.lower(), known)
            close = next((n for n in shown if f"'{n.lower()}'" in hint), None)
            raise ConfigError(
                f"unknown engine '{name}'" + (f"; did you mean '{close}'?" if close else nearest(name, shown))
            ) from None

    def where(self, wanted: Wanted) -> list[InferenceEngine]:
        """Return the engines that satisfy everything; as ``reject`` for errors."""
        return [engine for engine in self.engines if not self.reject(engine, wanted)]

    def reject(self, engine: InferenceEngine, wanted: Wanted) -> str:
        """Return the first thing that an engine fails, as a phrase; empty if it fails nothing.

        Raises:
            ConfigError: a device, system, precision or technique is unknown; the message offers the nearest.
        """
        self._check(wanted)
        measured = {device: self.feasible[device] for device in wanted.device if device in self.feasible}
        for device in wanted.device:
            if wanted.feasible_only and device in measured:
                if engine.name not in measured[device]:
                    return f"did not pass when it was run on {device}"
            elif device not in engine.devices:
                return f"does not run on {device}"
        if wanted.system and not engine.systems & set(wanted.system):
            return f"has no host of {' or '.join(wanted.system)}"
        for precision in wanted.precision:
            if precision not in engine.precisions:
                return f"has no {precision}"
        for technique in wanted.technique:
            if technique in engine.undisclosed and not wanted.allow_unknown:
                return f"does not disclose {self.techniques[technique]}"
            if technique not in engine.techniques | engine.undisclosed:
                return f"has no {self.techniques[technique]}"
        flags = (
            (wanted.open and engine.open != "yes", "is not fully open"),
            (wanted.multi_node and engine.nodes != "multi", "does not span nodes"),
            (wanted.openai and not engine.openai, "does not speak the OpenAI protocol by itself"),
            (wanted.offline and engine.hosted, "is a hosted service"),
        )
        return next((why for failed, why in flags if failed), "")

    def with_technique(self, code: str) -> list[str]:
        """Return the names of the engines that have a technique; raises as ``reject`` does."""
        return [engine.name for engine in self.where(Wanted(technique=(code,)))]

    def compare(self, *names: str) -> list[dict[str, Any]]:
        """Return a row for every field in which engines differ or agree: ``field`` and a value by engine.

        Args:
            names: at least one engine.

        Raises:
            ConfigError: a name is unknown.
        """
        chosen = [self.find(name) for name in names]
        rows = [
            {"field": criterion, **{e.name: round(e.scores[criterion], 2) for e in chosen}} for criterion in CRITERIA
        ]
        for item in fields(InferenceEngine):
            if item.name not in ("name", "scores"):
                rows.append({"field": item.name, **{e.name: _shown(getattr(e, item.name)) for e in chosen}})
        return rows

    def to_markdown(self) -> str:
        """Return the engines as a Markdown table: name, openness, nodes, scores, techniques."""
        head = ["engine", "open", "nodes", *CRITERIA, "techniques"]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for e in self.engines:
            scores = [f"{e.scores[criterion]:.2f}" for criterion in CRITERIA]
            lines.append("| " + " | ".join([e.name, e.open, e.nodes, *scores, " ".join(sorted(e.techniques))]) + " |")
        return "\n".join(lines)

    def _check(self, wanted: Wanted) -> None:
        known = {
            "device": {d for e in self.engines for d in e.devices} | set(self.feasible),
            "system": {s for e in self.engines for s in e.systems},
            "precision": {p for e in self.engines for p in e.precisions},
            "technique": set(self.techniques),
        }
        for kind, names in known.items():
            for name in getattr(wanted, kind):
                if name not in names:
                    raise ConfigError(f"unknown {kind} '{name}'{nearest(name, names)}")


@cache
def _bundled() -> EngineCatalogue:
    table = _read(DATA)
    empty = EngineCatalogue(
        (), table["techniques"], table["sources"], tuple(table["doubt"]), {}, {}, {}, table["dated"]
    )
    return replace(_laid_over(empty, table, str(DATA)), changed=())


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the engines in {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is not valid TOML: {error}; correct that line") from None


def _laid_over(base: EngineCatalogue, table: Mapping[str, Any], where: str) -> EngineCatalogue:
    grids = table.get("grids", {})
    found, changed = {engine.name: engine for engine in base.engines}, list[str]()
    for row in table.get("engine", []):
        given = _record(row, grids, base.techniques, where)
        known = found.get(given["name"]) or InferenceEngine(given["name"], dict.fromkeys(CRITERIA, 0.0))
        scores: dict[str, float] = {**known.scores, **given.pop("scores")}
        found[known.name] = replace(known, scores=scores, **given)
        changed.append(known.name)
    return replace(
        base,
        engines=tuple(found.values()),
        feasible={**base.feasible, **table.get("feasible", {})},
        prices={**base.prices, **table.get("prices", {})},
        gpu_hours={**base.gpu_hours, **table.get("gpu_hours", {})},
        changed=tuple(changed),
    )


def _record(row: Any, grids: Mapping[str, float], techniques: Mapping[str, str], where: str) -> dict[str, Any]:
    """An engine's fields as they were given, checked; scores divided by their grids."""
    known = {item.name: item for item in fields(InferenceEngine)}
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise DataError(f"{where}: an [[engine]] has no name")
    name, plain = row["name"], dict[str, Any]()
    for key, value in row.items():
        if key not in known:
            raise DataError(f"{where}: engine '{name}' has an unknown field '{key}'{nearest(key, known)}")
        plain[key] = frozenset(value) if isinstance(value, list) else value
        kind = str if key == "name" else dict if key == "scores" else type(known[key].default)
        if type(plain[key]) is not kind:
            raise DataError(f"{where}: engine '{name}' has {key} = {value!r}: write it as the bundled engines do")
    for key in (plain.get("techniques", frozenset()) | plain.get("undisclosed", frozenset())) - set(techniques):
        raise DataError(f"{where}: engine '{name}' has an unknown technique '{key}'{nearest(str(key), techniques)}")
    scores = {key: value / grids.get(key, 1) for key, value in plain.get("scores", {}).items()}
    for key, value in scores.items():
        if key not in CRITERIA or not 0 <= value <= 1:
            raise DataError(
                f"{where}: engine '{name}' has score {key} = {value:g}: {', '.join(CRITERIA)} lie in [0, 1]"
            )
    return {**plain, "scores": scores}


def _shown(value: Any) -> Any:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(sorted(value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
