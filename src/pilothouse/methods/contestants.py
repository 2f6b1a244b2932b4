"""What enters a comparison: a method's name, with settings of its own if wanted (``grpo:credit.std=none``)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilothouse.core.errors import ConfigError
from pilothouse.methods.base import find_method
from pilothouse.training.config import RunSettings, nested, read_value
from pilothouse.training.kinds import kind_of_recipe

#: What every run of a comparison has in common.
_SHARED = ("kind", "method", "seed", "task")


@dataclass(frozen=True)
class Contestant:
    """A method as it enters a comparison.

    Args:
        label: what the comparison calls it: the text it was read from.
        method: the method's name.
        settings: nested tables that win over those that all contestants share.
    """

    label: str
    method: str
    settings: Mapping[str, Any]

    @staticmethod
    def parse(text: str) -> Contestant:
        """Return the contestant that ``grpo`` or ``grpo:credit.std=none,training.epochs=2`` stands for.

        Args:
            text: a method's name; after a colon settings, as name=value between commas, values as on the command line.

        Raises:
            ConfigError: there is no such method, or it is written in another way.
        """
        method, colon, settings = text.partition(":")
        pieces = re.split(r",(?=[\w.-]+=)", settings) if colon else []  # a value may hold commas of its own
        pairs: list[tuple[str, Any]] = []
        for piece in pieces:
            key, equals, value = piece.partition("=")
            if not equals or not value or not all(key.split(".")):
                raise ConfigError(
                    f"'{piece}' in '{text}' is no setting: write METHOD:name.of.setting=value, such as "
                    f"{method}:training.learning_rate=1e-4, several between commas"
                )
            if key.split(".")[0] in _SHARED:
                raise ConfigError(f"'{text}' sets {key}, which all methods of a comparison share: use --{key}")
            pairs.append((key.replace("-", "_"), read_value(value)))
        find_method(method)
        return Contestant(text, method, nested(pairs))

    @property
    def kind(self) -> type[RunSettings]:
        """The kind of its configuration."""
        return kind_of_recipe(find_method(self.method).trained)


def contestants(texts: Sequence[str]) -> dict[str, Contestant]:
    """Return contestants by label.

    Args:
        texts: two or more.

    Raises:
        ConfigError: there are too few, one is not understood, or they are of different kinds.
    """
    if len(texts) < 2:
        raise ConfigError("a comparison needs two methods or more, such as 'pilothouse compare grpo lite-ppo'")
    found = {text: Contestant.parse(text) for text in texts}
    first, *others = found.values()
    for other in others:
        if other.kind is not first.kind:
            raise ConfigError(
                f"{first.method} makes {first.kind.makes} and {other.method} {other.kind.makes}, which no budget makes "
                "equal: compare methods of one kind"
            )
    return found
