"""Decisions: what moved one, measured on records of outcomes; pure functions that need no engine and no program."""
