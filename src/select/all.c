/* SPDX-License-Identifier: MIT */
/* Every neuron, in the order of ids: the dense path. With a mixed ratio the
 * lower ids get the wider classes; active < 1 is refused, since no score
 * says what to leave out. */
#include "select/select_impl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct all {
    float *scores;
};

static int init(struct m2c_selector *s, struct m2c_err *err)
{
    struct all *a = s->priv;
    if (isnan(s->cfg.active) || s->cfg.active < 1)
        return m2c_fail(err, -EINVAL, "selector all computes every neuron: "
                                      "precision.active must be 1");
    a->scores = malloc(s->cfg.n * sizeof *a->scores);
    if (!a->scores)
        return m2c_fail(err, -ENOMEM, "selector all: out of memory");
    for (uint32_t i = 0; i < s->cfg.n; i++)
        a->scores[i] = 1;
    return 0;
}

static void fini(struct m2c_selector *s) { free(((struct all *)s->priv)->scores); }

static int score(struct m2c_selector *s, uint32_t layer, const float *truth,
                 const float **scores, struct m2c_err *err)
{
    (void)layer;
    (void)truth;
    (void)err;
    *scores = ((struct all *)s->priv)->scores;
    return 0;
}

const struct m2c_select_ops m2c_select_all = {
    .p = {.name = "all", .desc = "every neuron", .priv_size = sizeof(struct all)},
    .init = init,
    .fini = fini,
    .score = score,
};
