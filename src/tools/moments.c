/* SPDX-License-Identifier: MIT */
/* Second moments of the FFN's inputs. */
#include "tools/moments.h"

#include "infer/score.h"
#include "tools/cli.h"

#include <errno.h>
#include <stdlib.h>

struct sums {
    double *sum; /* [layers][dim] */
    uint64_t rows;
};

static void add_input(void *ctx, uint32_t layer, const float *x, uint32_t rows,
                      uint32_t dim)
{
    struct sums *s = ctx;
    double *sum = s->sum + (size_t)layer * dim;
    for (uint32_t r = 0; r < rows; r++, x += dim)
        for (uint32_t i = 0; i < dim; i++)
            sum[i] += (double)x[i] * (double)x[i];
    s->rows += layer == 0 ? rows : 0;
}

static int run_text(const struct m2c_store *store, const struct m2c_text *text,
                    struct sums *s, struct m2c_log *log, struct m2c_err *err)
{
    struct m2c_engine *e = NULL;
    struct m2c_engine_cfg cfg;
    struct m2c_progress *bar = NULL;
    struct m2c_score sc = {0};
    m2c_engine_dense_cfg(store, &cfg);
    int r = m2c_engine_open(&e, store, &cfg, err);
    if (r == 0)
        r = m2c_progress_open(&bar, log, "calibrating", text->tokens, "tokens");
    if (r == 0) {
        m2c_engine_watch_input(e, add_input, s);
        r = m2c_score_text(e, NULL, text, m2c_store_cfg(store)->bos, bar, m2c_cli_stop(),
                           &sc, err);
    }
    m2c_progress_close(bar);
    m2c_score_free(&sc);
    m2c_engine_close(e);
    return r;
}

int m2c_moments(const struct m2c_store *store, const char *text, uint64_t tokens,
                struct m2c_log *log, float **out, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(store);
    size_t n = (size_t)m->layers * m->dim;
    struct sums s = {.sum = calloc(n, sizeof(double))};
    struct m2c_text t = {0};
    struct m2c_tok *tok = NULL;
    float *moments = calloc(n, sizeof *moments);
    int r = s.sum && moments ? 0 : m2c_fail(err, -ENOMEM, "calibration: out of memory");
    if (r == 0)
        r = m2c_text_tokenizer(store, &tok, err);
    if (r == 0)
        r = m2c_text_load(text, NULL, tokens, tok, &t, err);
    if (r == 0)
        r = run_text(store, &t, &s, log, err);
    if (r == 0 && s.rows == 0)
        r = m2c_fail(err, -EINVAL, "%s: has no token to calibrate with", text);
    for (size_t i = 0; i < n && r == 0; i++)
        moments[i] = (float)(s.sum[i] / (double)s.rows);
    m2c_text_free(&t);
    m2c_tok_close(tok);
    free(s.sum);
    if (r < 0)
        free(moments);
    else
        *out = moments;
    return r;
}
