"""Pages of the documentation that are made from cards, parts and evidence, so that nobody edits a figure by hand."""
