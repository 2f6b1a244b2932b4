"""What hosted engines charge, and from when a GPU of one's own is cheaper."""

from __future__ import annotations

from dataclasses import dataclass

from pilothouse.core.errors import ConfigError, nearest
from pilothouse.decisions.engine_catalogue import EngineCatalogue


@dataclass(frozen=True)
class CostModel:
    """What hosted engines charge, and when a GPU of one's own is cheaper.

    Args:
        catalogue: where the prices are from; they are a snapshot.
    """

    catalogue: EngineCatalogue

    def per_engine(self, model: str, tokens_in: float, tokens_out: float) -> dict[str, float]:
        """Return by engine the cost in USD: ``(tokens_in price_in + tokens_out price_out) / 1e6``.

        Args:
            model: a model with known prices.
            tokens_in: prompt tokens.
            tokens_out: sampled tokens.

        Raises:
            ConfigError: the model is unknown, or tokens are negative.
        """
        if model not in self.catalogue.prices:
            raise ConfigError(f"no prices for model '{model}'{nearest(model, self.catalogue.prices)}")
        if not (tokens_in >= 0 and tokens_out >= 0):
            raise ConfigError(f"{tokens_in:g} tokens in and {tokens_out:g} out: give numbers of at least 0")
        return {
            name: (tokens_in * prices[0] + tokens_out * prices[1]) / 1e6
            for name, prices in self.catalogue.prices[model].items()
        }

    def break_even(self, model: str, engine: str, gpu_hour: float, share_out: float = 0.5) -> float:
        """Return the tokens an hour from which a GPU of one's own is cheaper than a hosted engine.

        Args:
            model: a model with known prices.
            engine: the hosted engine.
            gpu_hour: what the GPU costs an hour, in USD.
            share_out: the share of tokens that are sampled.

        Raises:
            ConfigError: there is no price, the GPU's is not positive, or the share is outside [0, 1].
        """
        if not (gpu_hour > 0 and 0 <= share_out <= 1):
            raise ConfigError(f"a GPU hour of {gpu_hour:g} USD and a share of {share_out:g}: give > 0 and 0 to 1")
        name = self.catalogue.find(engine).name
        costs = self.per_engine(model, 1 - share_out, share_out)
        if name not in costs:
            raise ConfigError(f"no price of {model} at {name}; known: {', '.join(costs)}")
        return gpu_hour / costs[name]
