/* SPDX-License-Identifier: MIT */
/* The true scores of the token before, at the same layer: what the overlap of
 * adjacent tokens alone would give (M2Cache §5.3 measures about 80 %). The
 * first token of a sequence has none before it and takes its own. */
#include "select/select_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct prev {
    float *scores; /* [layers][n] of the last token */
    uint8_t *seen; /* [layers] */
};

static int init(struct m2c_selector *s, struct m2c_err *err)
{
    struct prev *p = s->priv;
    p->scores = calloc((size_t)s->cfg.layers * s->cfg.n, sizeof *p->scores);
    p->seen = calloc(s->cfg.layers, 1);
    return p->scores && p->seen ? 0
                                : m2c_fail(err, -ENOMEM, "selector prev: out of memory");
}

static void fini(struct m2c_selector *s)
{
    struct prev *p = s->priv;
    free(p->scores);
    free(p->seen);
}

static void restart(struct m2c_selector *s)
{
    memset(((struct prev *)s->priv)->seen, 0, s->cfg.layers);
}

static int score(struct m2c_selector *s, uint32_t layer, const float *truth,
                 const float **scores, struct m2c_err *err)
{
    struct prev *p = s->priv;
    (void)err;
    *scores = p->seen[layer] ? p->scores + (size_t)layer * s->cfg.n : truth;
    return 0;
}

static void learn(struct m2c_selector *s, uint32_t layer, const float *truth)
{
    struct prev *p = s->priv;
    memcpy(p->scores + (size_t)layer * s->cfg.n, truth, s->cfg.n * sizeof *truth);
    p->seen[layer] = 1;
}

const struct m2c_select_ops m2c_select_prev = {
    .p = {.name = "prev",
          .desc = "the true active set of the token before",
          .priv_size = sizeof(struct prev)},
    .informed = true,
    .init = init,
    .fini = fini,
    .restart = restart,
    .score = score,
    .learn = learn,
};
