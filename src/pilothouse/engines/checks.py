"""What a request to a language model must satisfy; refused here, it never disturbs the batch that others are in."""

from __future__ import annotations

import math

from pilothouse.core.errors import EngineError
from pilothouse.core.requests import Logprob, Sample, Value


def check(request: Sample | Logprob | Value, context: int, vocabulary: int) -> None:
    """Refuse what can never be answered.

    Args:
        request: the request.
        context: the model's longest sequence, in tokens.
        vocabulary: number of token ids.

    Raises:
        EngineError: a setting out of range, a sequence that does not fit the context, or ids that do not exist.
    """
    size, tokens = len(request.prefix), request.prefix
    if isinstance(request, Sample):
        _check_sampling(request)
        size, tokens = size + 1, (*tokens, *request.stop_tokens)
    elif isinstance(request, Logprob):
        size, tokens = size + len(request.continuation), (*tokens, *request.continuation)
        if not 0 <= request.temperature < math.inf:
            raise EngineError(f"temperature={request.temperature} must be a number of at least 0")
    if not request.prefix:
        raise EngineError("the prefix is empty; give at least one token, such as the beginning-of-sequence token")
    if size > context:
        raise EngineError(
            f"the request needs {size} tokens but the model's context is {context}; shorten the prompt or use a model "
            "with a longer context"
        )
    if not 0 <= min(tokens) <= max(tokens) < vocabulary:
        raise EngineError(
            f"token ids must lie in [0, {vocabulary}) but range from {min(tokens)} to {max(tokens)}; encode the text "
            "with this policy's own tokenizer"
        )


def _check_sampling(request: Sample) -> None:
    if request.seed is None:
        raise EngineError("a Sample reached the engine without a seed; submit it through the runner or set one")
    if request.n < 1 or (request.max_tokens is not None and request.max_tokens < 1):
        raise EngineError(f"n={request.n}, max_tokens={request.max_tokens}: both must be at least 1")
    if not (0 <= request.temperature < math.inf and 0 < request.top_p <= 1 and request.top_k >= 0):
        raise EngineError(
            f"temperature={request.temperature}, top_p={request.top_p}, top_k={request.top_k}: temperature and top_k "
            "must be at least 0 and top_p in (0, 1]"
        )
    if "" in request.stop:
        raise EngineError("a stop string is empty and would end every continuation; remove it")
