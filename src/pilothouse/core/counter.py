"""Random numbers by address instead of in a row: each is a hash of what it is for.

The counter-based design of Salmon et al. 2011 with the mixing function of Steele et al. 2014 (SplitMix64). Whoever
knows the address draws the same number, in any batch and in any order, so a generator per row is never needed.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

_WORD = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFTS = (30, 27, 31)


def _signed(word: int) -> int:
    """Return the 64-bit word as the signed integer PyTorch stores."""
    return word - (1 << 64) if word >> 63 else word


def row_key(seed: int, index: int) -> int:
    """Return the key of one continuation, as a signed 64-bit integer.

    Args:
        seed: the request's seed; only its low 64 bits count.
        index: which of the request's samples.
    """

    def mix(word: int) -> int:
        for shift, multiplier in zip(_SHIFTS, (*_MULTIPLIERS, 1), strict=True):
            word = ((word ^ (word >> shift)) * multiplier) & _WORD
        return word

    return _signed(mix((mix(seed & _WORD) + (index + 1) * _STEP) & _WORD))


def uniform(keys: Int[Tensor, "*#shape"], positions: Int[Tensor, "*#shape"]) -> Float[Tensor, "..."]:
    """Return one number in [0, 1) per key and position, with 53 random bits (24 where the device has no float64).

    Args:
        keys: 64-bit keys, such as each row's ``row_key``.
        positions: what is drawn under each key: the position of a token, say; broadcast against the keys.
    """
    word = keys + positions * _signed(_STEP)
    for shift, multiplier in zip(_SHIFTS, (*_MULTIPLIERS, 1), strict=True):
        # PyTorch shifts signed words arithmetically; the mask clears the copies of the sign bit.
        word = (word ^ ((word >> shift) & ((1 << (64 - shift)) - 1))) * _signed(multiplier)
    bits, kind = (24, torch.float32) if keys.device.type == "mps" else (53, torch.float64)
    return ((word >> (64 - bits)) & ((1 << bits) - 1)).to(kind) * 2.0**-bits
