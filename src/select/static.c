/* SPDX-License-Identifier: MIT */
/* One set for all tokens: the neurons most often active in the rank file's
 * text, as PowerInfer's hot neurons are chosen (SOSP 2024, §5). */
#include "select/select_impl.h"
#include "store/rank.h"

#include <errno.h>
#include <stdlib.h>

struct fixed {
    float *scores; /* [layers][n]: the place in the hot order, hottest highest */
};

static int init(struct m2c_selector *s, struct m2c_err *err)
{
    struct fixed *f = s->priv;
    const struct m2c_rank *rank = s->cfg.rank;
    if (rank->layers != s->cfg.layers || rank->n != s->cfg.n)
        return m2c_fail(err, -EINVAL, "rank file is for %u layers of %u neurons, not %u of %u",
                        rank->layers, rank->n, s->cfg.layers, s->cfg.n);
    f->scores = calloc((size_t)s->cfg.layers * s->cfg.n, sizeof *f->scores);
    if (!f->scores)
        return m2c_fail(err, -ENOMEM, "selector static: out of memory");
    for (uint32_t l = 0; l < s->cfg.layers; l++) {
        float *row = f->scores + (size_t)l * s->cfg.n;
        for (uint32_t i = 0; i < s->cfg.n; i++)
            row[rank->layer[l].order[i]] = (float)(s->cfg.n - i);
    }
    return 0;
}

static void fini(struct m2c_selector *s) { free(((struct fixed *)s->priv)->scores); }

static int score(struct m2c_selector *s, uint32_t layer, const float *truth,
                 const float **scores, struct m2c_err *err)
{
    const struct fixed *f = s->priv;
    (void)truth;
    (void)err;
    *scores = f->scores + (size_t)layer * s->cfg.n;
    return 0;
}

const struct m2c_select_ops m2c_select_static = {
    .p = {.name = "static",
          .desc = "the hottest neurons of a rank file, the same for every token",
          .priv_size = sizeof(struct fixed)},
    .needs_rank = true,
    .by_rank = true,
    .init = init,
    .fini = fini,
    .score = score,
};
