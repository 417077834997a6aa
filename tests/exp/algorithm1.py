# SPDX-License-Identifier: MIT
"""M2Cache's Algorithm 1 (arXiv 2410.14740, section 5.2), from the paper alone, two
precisions: given s, n = bits(high) / bits(low) and r_low, and for each pair the
entropies of the next token at all generated positions."""
import math


def uq_est(entropies):
    """Equation 2: the sum over generated positions of -sum_k p_k log p_k."""
    return math.fsum(entropies)


def algorithm1(s, bits_high, bits_low, start, entropies_of):
    """The pairs in the order scored, as (r_high, r_low, UQEst, kept), and the best."""
    n = bits_high / bits_low
    r_high, r_low = 0.0, start
    best, best_pair, steps = math.inf, None, []
    while r_low >= 0:
        r_high += s
        r_low -= s * n
        score = uq_est(entropies_of(len(steps)))
        kept = best >= score
        if kept:
            best, best_pair = score, (r_high, r_low)
        steps.append((r_high, r_low, score, kept))
    return steps, best_pair
