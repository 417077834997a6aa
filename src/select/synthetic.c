/* SPDX-License-Identifier: MIT */
/* Sets that a process draws (process.h), whatever the model computes: for stores of
 * random weights. The seed is the workload's, so that all points of a sweep see the
 * same sets; a selector's first token is token 0. */
#include "select/process.h"
#include "select/select_impl.h"
#include "store/trace.h"

#include <errno.h>
#include <stdlib.h>

struct synthetic {
    struct m2c_trace *source;
    struct m2c_process *process;
    float *scores;
    uint64_t *token; /* [layers]: the next */
};

static void fini(struct m2c_selector *s)
{
    struct synthetic *y = s->priv;
    m2c_process_close(y->process);
    m2c_trace_free(y->source);
    free(y->scores);
    free(y->token);
}

static int init(struct m2c_selector *s, struct m2c_err *err)
{
    struct synthetic *y = s->priv;
    const char *path = s->cfg.source.trace;
    int rc = path && *path ? m2c_trace_read(&y->source, path, err) : 0;
    if (rc < 0)
        return rc;
    const struct m2c_process_cfg cfg = {.layers = s->cfg.layers,
                                        .n = s->cfg.n,
                                        .seed = s->cfg.source.seed,
                                        .ratio = s->cfg.ratio,
                                        .num = s->cfg.source.num,
                                        .source = y->source,
                                        .fit = s->cfg.source.fit};
    y->scores = malloc(s->cfg.n * sizeof *y->scores);
    y->token = calloc(s->cfg.layers, sizeof *y->token);
    if (!y->scores || !y->token)
        return m2c_fail(err, -ENOMEM, "selector synthetic: out of memory");
    return m2c_process_open(&y->process, &cfg, err);
}

static int score(struct m2c_selector *s, uint32_t layer, const float *truth,
                 const float **scores, struct m2c_err *err)
{
    struct synthetic *y = s->priv;
    (void)truth;
    (void)err;
    m2c_process_scores(y->process, y->token[layer]++, layer, y->scores);
    *scores = y->scores;
    return 0;
}

const struct m2c_select_ops m2c_select_synthetic = {
    .p = {.name = "synthetic",
          .desc = "sets drawn with given statistics, or like a recorded trace",
          .priv_size = sizeof(struct synthetic)},
    .own_sets = true,
    .init = init,
    .fini = fini,
    .score = score,
};
