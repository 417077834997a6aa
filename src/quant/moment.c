/* SPDX-License-Identifier: MIT */
/* Scales that lose least where it matters.
 *
 * The error of a product w·x over many x is, as far as the inputs are
 * uncorrelated, the sum of E[x_j²]·(error of w_j)²: the diagonal of the
 * Hessian of GPTQ (arXiv 2210.17323), and the measure by which AWQ
 * (arXiv 2306.00978) finds salient columns. Gate and up are weighted so; down
 * has one input for a whole vector, so that its weights are all 1. Unlike AWQ
 * no column is scaled: the store's neurons are the model's own.
 *
 * A scale below amax/qmax cuts off the largest values and serves the others
 * better. It is found by trying: round-to-nearest's own is among those tried,
 * so no group is worse than with it. */
#include "quant/quant_impl.h"

#include <math.h>

/* How far down, in what steps. Eight-bit scales have little to win: a cut of
 * a few codes; nested codes are never cut off, which ends the search. */
enum { STEPS = 48 };

static double factor(enum m2c_type type, int i)
{
    double least = type == M2C_I8 ? 0.9 : type == M2C_I4 ? 0.5 : 0.87;
    return 1 - (1 - least) * i / STEPS;
}

static uint16_t moment_scale(enum m2c_type type, const float *x, const float *weight,
                             size_t n)
{
    uint16_t best = m2c_quant_amax(type, x, n), last = best;
    double top = (double)m2c_f16_to_f32(best), least;
    least = m2c_quant_loss(type, x, weight, n, best);
    for (int i = 1; i <= STEPS; i++) {
        uint16_t s = m2c_f32_to_f16((float)(top * factor(type, i)));
        if (s == last || s == 0)
            continue;
        if (type != M2C_I8 && type != M2C_I4 && !m2c_quant_fits(type, x, n, s))
            break;
        double loss = m2c_quant_loss(type, x, weight, n, s);
        if (loss < least) {
            least = loss;
            best = s;
        }
        last = s;
    }
    return best;
}

const struct m2c_quant m2c_quant_moment = {
    .p = {.name = "moment",
          .desc = "least error, weighted by the second moment of the input"},
    .calibrated = true,
    .scale = moment_scale,
};
