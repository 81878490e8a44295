"""Finite-key security: how much of a block of finite length is provably secret.

=======================================================  ===============================================================
:mod:`~bellweave.distill.finite_key.tl17`                Tomamichel and Leverrier 2017, the default
:mod:`~bellweave.distill.finite_key.tails`               bounds on what a sample may hide
:mod:`~bellweave.distill.finite_key.proofs`              key lengths by proof, and Tomamichel et al. 2012
:mod:`~bellweave.distill.finite_key.bases`               each basis proven by the errors of the other
:mod:`~bellweave.distill.finite_key.planning`            the best sample, the shortest block, accumulation
:mod:`~bellweave.distill.finite_key.mdi`                 MDI-QKD: asymptotic, two decoys, finite key
=======================================================  ===============================================================

Rules for using any of them: the threshold is fixed before the sample is seen; leak is every disclosed bit; what is
announced must not depend on anything but what a proof allows. Statements that are not peer reviewed as used here say so
in their name, are shown beside the others, and never mint a key.
"""

from bellweave.distill.finite_key.tl17 import ASSUMPTIONS, METHOD, key_length, key_length_at, sampling_failure

__all__ = ["ASSUMPTIONS", "METHOD", "key_length", "key_length_at", "sampling_failure"]
