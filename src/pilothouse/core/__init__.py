"""The ground floor: the nouns every other room speaks in. Imports nothing of ours and, but for Rollouts, no torch."""
