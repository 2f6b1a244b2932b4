from __future__ import annotations

import pytest

from pilothouse.core.budgets import TimeBudget
from pilothouse.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds", "of"),
    [
        ("2h", 7200, "clock"),
        ("90m", 5400, "clock"),
        ("1h30m", 5400, "clock"),
        ("45s", 45, "clock"),
        ("0.5h", 1800, "clock"),
        (" 2h-core ", 7200, "core"),
    ],
)
def test_a_time_names_its_unit(text: str, seconds: float, of: str) -> None:
    assert TimeBudget.parse(text) == TimeBudget(seconds, of)


@pytest.mark.parametrize("text", ["", "2", "h", "-core", "0h", "2 h", "2h-cores", "-2h", "30m1h", "2H"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write it like 2h"):
        TimeBudget.parse(text)
