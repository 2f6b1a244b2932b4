"""A budget names its unit: so many whole responses, so many tokens, so many training steps, or so much time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from pilothouse.core.errors import ConfigError

Unit: TypeAlias = Literal["samples", "tokens", "steps"]

_FORM = re.compile(r"(\d+(?:\.\d+)?)([kM]?)-?([a-z]+)?")
_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(-core)?")
_FACTOR = {"": 1, "k": 1_000, "M": 1_000_000}
_LIKE: dict[Unit, str] = {"samples": "16-samples", "tokens": "200k-tokens", "steps": "600-steps"}


@dataclass(frozen=True)
class Budget:
    """What one problem, or one training run, may cost.

    Args:
        amount: how much, at least 1.
        unit: "samples" (whole responses, each up to the length limit), "tokens", or "steps" (of training).
    """

    amount: int
    unit: Unit

    @staticmethod
    def parse(text: str, only: Unit | None = None) -> Budget:
        """Return the budget that ``4096-tokens``, ``2k-tokens``, ``16-samples`` or ``16`` (samples) stands for.

        Args:
            text: the budget.
            only: the one unit that makes sense, which must then be named; by default samples and tokens do.

        Raises:
            ConfigError: the text is not a budget, it is in another unit, or it is less than 1.
        """
        match = _FORM.fullmatch(text.strip())
        number, factor, word = match.groups() if match else ("0", "", "")
        unit = "samples" if word is None and only is None else f"{(word or '').removesuffix('s')}s"
        if unit not in ((only,) if only else ("samples", "tokens")):
            like = _LIKE[only] if only else "16-samples, 4096-tokens or 2k-tokens"
            raise ConfigError(f"'{text}' is not a budget{f' in {only}' if only else ''}: write it like {like}")
        amount = int(float(number) * _FACTOR[factor])
        if amount < 1:
            raise ConfigError(f"a budget of '{text}' is nothing: give at least 1-{unit}")
        return Budget(amount, cast(Unit, unit))

    def samples(self, limit: int) -> int:
        """Return how many whole responses it pays for.

        Args:
            limit: length limit of a response, in tokens; so a budget in tokens is never overspent.

        Raises:
            ConfigError: it does not pay for one.
        """
        if self.unit == "samples":
            return self.amount
        if self.amount < limit:
            raise ConfigError(
                f"a budget of {self.amount} tokens does not pay for one response of up to {limit} tokens: "
                f"give at least {limit}-tokens, or shorten responses with --program.sampling.max_tokens"
            )
        return self.amount // limit

    def __str__(self) -> str:
        """Return the text that ``parse`` reads."""
        return f"{self.amount}-{self.unit}"


@dataclass(frozen=True)
class TimeBudget:
    """How long something may take.

    Args:
        seconds: above 0.
        of: "clock" (as time passes) or "core" (time that processor cores spend on it, added up).
    """

    seconds: float
    of: Literal["clock", "core"]

    @staticmethod
    def parse(text: str) -> TimeBudget:
        """Return the budget that ``2h``, ``90m``, ``1h30m`` or ``45s`` stands for; ``2h-core`` counts processor time.

        Raises:
            ConfigError: the text is not such a budget, or it is 0.
        """
        match = _TIME.fullmatch(text.strip())
        hours, minutes, seconds = (float(part or 0) for part in match.groups()[:3]) if match else (0.0, 0.0, 0.0)
        total = 3600 * hours + 60 * minutes + seconds
        if match is None or total <= 0:
            raise ConfigError(f"'{text}' is not a time: write it like 2h, 90m or 1h30m, or 2h-core for processor time")
        return TimeBudget(total, "core" if match[4] else "clock")


def divided(samples: int, parts: int, what: str, *, least: int = 1) -> int:
    """Return a part's share of a budget that must divide evenly.

    Args:
        samples: the budget, in whole responses.
        parts: how many parts share it.
        what: who needs that, for the message: "particle-gibbs of 4 iterations".
        least: the smallest share that works.

    Raises:
        ConfigError: it does not divide, or a share is too small; the message names the nearest budgets that work.
    """
    share, rest = divmod(samples, parts)
    if not rest and share >= least:
        return share
    near = sorted({max(share, least) * parts, max(share + 1, least) * parts}) if rest else [least * parts]
    names = " or ".join(f"{number}-samples" for number in near)
    raise ConfigError(f"{what} cannot spend a budget of {samples} responses evenly: give {names}")
