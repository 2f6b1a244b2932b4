"""Credit: outcomes become per-token weights; a file an estimator or selector, each a pure tensor function."""
