"""ADORA's presets: prompts on which long answers pay keep their credit, others are damped, or the first are raised."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from pilothouse.core.parts import SLOT
from pilothouse.credit.group_weight import Combined, Criterion, DifficultyAdvantage, GroupWeighted, LengthAdvantage


class ADORA(GroupWeighted):
    """Damps to a tenth the groups without a length advantage (arXiv 2602.10019, the vision-language runs).

    As in the released vision-language code, a group without a right response keeps its weight and one without a usable
    wrong response is damped. Truncated responses are told by their flag instead of a length near the limit.
    """

    name: ClassVar[str] = "adora"
    criterion: Annotated[Criterion, SLOT] = LengthAdvantage(no_correct=True, no_wrong=False)


class ADORAAmplify(GroupWeighted):
    """Doubles the groups with both a length and a difficulty advantage (arXiv 2602.10019, the text runs).

    That the two are joined by "and", and that a group needs a right response, is our reading.
    """

    name: ClassVar[str] = "adora-amplify"
    criterion: Annotated[Criterion, SLOT] = Combined(parts=[LengthAdvantage(no_wrong=True), DifficultyAdvantage()])
    favoured: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    other: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0


class ADORALogic(GroupWeighted):
    """The released text code's rule for Logic-RL, whose reward for a right answer is 3.

    A group without a right response is damped and one without a usable wrong response keeps its weight: both the other
    way round than in the vision-language code.
    """

    name: ClassVar[str] = "adora-logic"
    criterion: Annotated[Criterion, SLOT] = LengthAdvantage(
        correct_above=1.01, no_correct=False, no_wrong=True, skip_truncated=False, length_cap=3900
    )
