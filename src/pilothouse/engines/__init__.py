"""Engines: fast sampling and scoring from a language policy, and the runner that drives programs over them."""
