"""The whole configuration of a run: what ``config.toml`` holds and the command line overrides."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

from pydantic import Field, model_validator

from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import LISTED, SLOT, Part, Settings, validated
from pilothouse.policies.lora import LoRA
from pilothouse.policies.warm_start import WarmStart
from pilothouse.tasks.base import Task
from pilothouse.training.recipe import LoopSettings, PolicyGradient, Recipe
from pilothouse.training.scoring import check_scorer

if TYPE_CHECKING:
    from pilothouse.reports.progress import Progress
    from pilothouse.reports.runs import RunStore
    from pilothouse.training.course import Course
    from pilothouse.training.referee import Referee

TINY = "tiny"


class PolicySettings(Settings):
    """What acts.

    Args:
        model: folder or hub id of a causal language model; "tiny" is the built-in character model, warm-started.
        size: width and depth of the tiny model, by name.
        lora: train a low-rank adapter with these settings instead of all weights.
        device: a torch device, or "auto".
        dtype: type of the weights, or "auto" (bfloat16 on a GPU, float32 elsewhere).
        rows: sequences the engine decodes at a time.
        warm_start: how the tiny model is prepared.
    """

    model: str = TINY
    size: str = "1m"
    lora: LoRA | None = None
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    rows: Annotated[int, Field(ge=1)] = 256
    warm_start: WarmStart = WarmStart(epochs=4, solution_loss=1.0)


class RunSettings(Settings):
    """What every run is configured by, whatever it trains; each kind of recipe has a configuration of its own.

    Args:
        method: the method's name.
        seed: root of the run's seed tree.
        sinks: experiment trackers that receive every metrics row besides ``metrics.jsonl``.

    Class attributes:
        makes: what comes out of such a run, for messages.
    """

    makes: ClassVar[str]

    method: str
    seed: Annotated[int, Field(ge=0)] = 0
    sinks: Annotated[tuple[str, ...], LISTED] = ()

    @property
    def loop_settings(self) -> LoopSettings:
        """How long it trains."""
        raise NotImplementedError

    @property
    def task_title(self) -> str:
        """What to call its task."""
        raise NotImplementedError

    def course(self, store: RunStore, progress: Progress) -> Course:
        """Return what trains as this configuration says, ready for its first step.

        Args:
            store: the run's folder.
            progress: shows what happens.
        """
        raise NotImplementedError

    @classmethod
    def evaluate_run(cls, store: RunStore, table: Mapping[str, Any], n: int, seed: int) -> dict[str, Any] | None:
        """Return what a finished run's policy does in ``n`` episodes; ``None`` where it answers problems instead.

        Args:
            store: the run.
            table: settings laid over the run's own.
            n: episodes.
            seed: root of their seed tree.
        """
        return None

    @classmethod
    def referee(cls) -> Referee[Any]:
        """Return how runs of this kind are compared."""
        raise NotImplementedError


class RunConfig(PolicyGradient, RunSettings):
    """The recipe of a language method with everything else a run depends on.

    Args:
        task: where problems come from and how they are judged.
        policy: what acts.
    """

    makes: ClassVar[str] = "a language policy"

    task: Annotated[Task, SLOT]
    policy: PolicySettings = PolicySettings()

    @property
    def loop_settings(self) -> LoopSettings:
        """How long it trains."""
        return self.training

    @property
    def task_title(self) -> str:
        """What to call its task."""
        return self.task.name

    def course(self, store: RunStore, progress: Progress) -> Course:
        """Return the language policy's training."""
        from pilothouse.training.language import LanguageCourse  # which reads this configuration

        return LanguageCourse.prepare(self, store, progress)

    @classmethod
    def referee(cls) -> Referee[RunConfig]:
        """Return how runs that train a language policy are compared."""
        from pilothouse.training.language_referee import LanguageReferee  # which reads this configuration

        return LanguageReferee()

    @model_validator(mode="after")
    def _budget_pays_for_a_step(self) -> Self:
        least, budget = self.training.prompts * (self.program.group_size or 1), self.training.token_budget
        if 0 < budget < least:
            raise ValueError(
                f"a budget of {self.training.budget} does not pay for one step of {least:,} responses, were each a "
                "single token: give more, or lower --prompts"
            )
        return self

    @model_validator(mode="after")
    def _scorer_fits_task(self) -> Self:
        try:
            check_scorer(self.program.needs_scorer(), self.program.name, self.scorer, self.task)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _program_fits_task(self) -> Self:
        try:
            self.program.fitted(limit=self.task.limit, stop=self.task.stop, step_end=self.task.step_end)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self


def resolve(method: str, recipe: PolicyGradient, *layers: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of a run: the method's own settings, then each layer over the one before.

    Args:
        method: the method's name.
        recipe: its composition.
        layers: nested tables, later ones win; a part that changes its name starts from that part's defaults.

    Raises:
        ConfigError: a key is unknown or a value has the wrong type; the message names the nearest key.
    """
    return resolve_as(RunConfig, method, recipe, layers)


ConfigT = TypeVar("ConfigT", bound=RunSettings)


def resolve_as(kind: type[ConfigT], method: str, recipe: Recipe, layers: Sequence[Mapping[str, Any]]) -> ConfigT:
    """Return the configuration of a run of another kind (see ``resolve``).

    Args:
        kind: the configuration's class.
        method: the method's name.
        recipe: its composition.
        layers: nested tables, later ones win.

    Raises:
        ConfigError: a key is unknown or a value has the wrong type.
    """
    table: dict[str, Any] = {"method": method, **recipe.model_dump(mode="json")}
    for layer in layers:
        table = overlay(table, layer)
    if "task" not in table:
        raise ConfigError("no task: give --task NAME ('pilothouse tasks' lists them)")
    return validated(kind, table, f"the configuration of '{method}'")


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on it, table by table.

    A part may be given by name, as a table, or as settings without a name for the part that is there. When the name
    changes, the old part's settings go with it.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, str) and "name" in old:
            merged[key] = old if value == old["name"] else _part_table(value)
        elif isinstance(old, str) and isinstance(value, Mapping) and "name" not in value:
            merged[key] = {"name": old, **value}
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            replaced = "name" in value and value["name"] != old.get("name")
            merged[key] = dict(value) if replaced else overlay(old, value)
        else:
            merged[key] = value
    return merged


def _part_table(text: str) -> Any:
    return text if any(mark in text for mark in "+*") else {"name": text}


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        ConfigError: the file is missing or not TOML; the message gives the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; give --config an existing TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}; correct that line") from error


def nested(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return nested tables from dotted keys: ``("credit.eps", 0.1)`` becomes ``{"credit": {"eps": 0.1}}``.

    A part given by name and settings given for it, in any order, end up in one table.
    """
    tables: dict[str, Any] = {}
    for key, value in sorted(pairs, key=lambda pair: pair[0].count(".")):
        table = tables
        *path, last = key.split(".")
        for piece in path:
            inner = table.setdefault(piece, {})
            if isinstance(inner, str):
                inner = table[piece] = {"name": inner}
            if not isinstance(inner, dict):
                raise ConfigError(
                    f"--{key} looks for a setting inside '{piece}', which is {inner!r}: drop one of the two"
                )
            table = cast(dict[str, Any], inner)
        table[last] = value
    return tables


def read_overrides(tokens: Sequence[str]) -> list[tuple[str, Any]]:
    """Return (dotted key, value) pairs from tokens such as ``--credit.eps 0.1`` or ``--credit.eps=0.1``.

    Values are read as TOML, so numbers, booleans and lists keep their type; anything else is text. An option without a
    value is true.

    Args:
        tokens: what the command line holds besides its short options.

    Raises:
        ConfigError: a token is not an option.
    """
    pairs: list[tuple[str, Any]] = []
    waiting = list(tokens)
    while waiting:
        token = waiting.pop(0)
        key, equals, value = token[2:].partition("=")
        if not token.startswith("--") or not all(key.split(".")):
            raise ConfigError(f"unexpected '{token}': settings are written as --name.of.setting VALUE")
        if not equals:
            follows = waiting and not waiting[0].startswith("--")
            value = waiting.pop(0) if follows else "true"
        pairs.append((key.replace("-", "_"), read_value(value)))
    return pairs


def read_value(text: str) -> Any:
    """Return what a value on the command line means: TOML if it is that, else the text itself."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, bool | int | float | str | list | dict) else text


def parts_of(config: PolicyGradient) -> dict[str, Part]:
    """Return the parts that may keep state between steps, by slot."""
    return {"program": config.program, "select": config.select, "credit": config.credit, "objective": config.objective}
