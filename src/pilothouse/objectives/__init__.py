"""Objectives: a file a loss family and one aggregation function with named modes."""
