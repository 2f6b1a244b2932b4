"""Action models at work: data in chunks, losses, samplers, receding horizon, evaluation in environments."""
