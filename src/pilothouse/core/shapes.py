"""The shape alphabet: one letter per dimension, used in every docstring and annotation of the library.

======  ==========================================================
letter  meaning
======  ==========================================================
P       prompts (problems) in a batch
G       group size: attempts per prompt
N       episodes in a batch, N = P * G when every group is full
T       response tokens, right-padded
L       packed tokens: prompt and response in one row
M       tokens that carry a loss, flattened over N and T
V       vocabulary entries
K       particles
A       actions
H       horizon
D       state or hidden width
======  ==========================================================

Tensors are annotated with jaxtyping, for example ``Float[Tensor, "N T"]``; the test suite checks the annotations at
run time with beartype, production code never pays for them.
"""
