"""Policies: networks that act, their heads and tokenizers, and tiny defaults that learn in a minute on a CPU."""
