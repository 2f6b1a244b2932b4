"""x."""
from pilothouse.methods.gain import training_gain
reproduce = training_gain("t-ppo")
