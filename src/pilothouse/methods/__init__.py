"""Methods: a file a system — docstring, card, composition, claim."""
