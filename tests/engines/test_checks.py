from __future__ import annotations

import math
import re

import pytest

from pilothouse.core.errors import EngineError
from pilothouse.core.requests import Logprob, Sample, Value
from pilothouse.engines.checks import check


@pytest.mark.parametrize(
    "request_",
    [Sample((5,) * 9, seed=0, stop_tokens=(1,)), Logprob((5,) * 6, (5,) * 4, temperature=0), Value((39,) * 10)],
)
def test_what_just_fits_is_accepted(request_: Sample | Logprob | Value) -> None:
    check(request_, 10, 40)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Sample((5,) * 10, seed=0), "needs 11 tokens but the model's context is 10"),
        (Logprob((5,) * 6, (5,) * 5), "needs 11 tokens"),
        (Value((5,) * 11), "needs 11 tokens"),
        (Sample((), seed=0), "prefix is empty"),
        (Logprob((), (5,)), "prefix is empty"),
        (Sample((5,)), "without a seed"),
        (Sample((5, 40), seed=0), "token ids must lie in [0, 40) but range from 5 to 40"),
        (Sample((5,), seed=0, stop_tokens=(-1,)), "token ids must lie in"),
        (Logprob((5,), (41,)), "token ids must lie in"),
        (Sample((5,), seed=0, n=0), "at least 1"),
        (Sample((5,), seed=0, max_tokens=0), "at least 1"),
        (Sample((5,), seed=0, temperature=-1.0), "temperature"),
        (Sample((5,), seed=0, temperature=math.nan), "temperature"),
        (Sample((5,), seed=0, top_p=0.0), "top_p"),
        (Sample((5,), seed=0, top_k=-1), "top_k"),
        (Sample((5,), seed=0, stop=("",)), "stop string is empty"),
        (Logprob((5,), (5,), temperature=math.inf), "temperature"),
    ],
)
def test_what_can_never_be_answered_is_refused(request_: Sample | Logprob | Value, words: str) -> None:
    with pytest.raises(EngineError, match=re.escape(words)):
        check(request_, 10, 40)
