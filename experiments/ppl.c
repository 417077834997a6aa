/* SPDX-License-Identifier: MIT */
/* ppl: score a text, beside the dense model on the same tokens.
 *
 * Nothing here is timed. Tokens go one by one as in decode. The dense
 * reference is the same store with every neuron at its widest class. */
#include "experiments/experiments.h"

#include "infer/score.h"

#include <errno.h>
#include <math.h>

struct ppl {
    struct m2c_engine *engine, *dense;
    struct m2c_text text;
};

static int setup(struct m2c_run *run, struct m2c_err *err)
{
    struct ppl *p = run->priv;
    const struct m2c_settings *c = run->cfg;
    int r = m2c_run_text(run, &p->text, err);
    if (r == 0)
        r = m2c_run_engine(run, &p->engine, err);
    if (r == 0 && c->text.kl)
        r = m2c_run_dense(run, &p->dense, err);
    return r;
}

static int step(struct m2c_run *run, struct m2c_err *err)
{
    struct ppl *p = run->priv;
    struct m2c_score s;
    m2c_engine_stats_reset(p->engine);
    int r = m2c_score_text(p->engine, p->dense, &p->text, m2c_store_cfg(run->store)->bos,
                           NULL, run->stop, &s, err);
    if (r < 0)
        return r;
    double n = (double)s.n, nll = s.nll / n;
    bool kl = s.has_kl;
    const struct {
        const char *name;
        double value;
    } rows[] = {
        {"ppl_tokens", n},
        {"nll", nll},
        {"perplexity", exp(nll)},
        {"nll_dense", kl ? s.ref_nll / n : NAN},
        {"kl_mean", kl ? s.kl_sum / n : NAN},
        {"kl_p99", kl ? m2c_score_kl_quantile(&s, .99) : NAN},
        {"top1_agree", kl ? (double)s.agree / n : NAN},
    };
    for (size_t i = 0; i < M2C_COUNTOF(rows) && r == 0; i++)
        r = m2c_figure_put(run->figures, rows[i].name, NULL, rows[i].value,
                           isnan(rows[i].value) ? M2C_UNAVAILABLE : M2C_MEASURED,
                           "scored text", err);
    if (r == 0 && !json_object_get(run->figures, "hit_ratio_hbm"))
        r = m2c_run_put_tiers(run, p->engine, err);
    /* of more tokens than decode generates: these replace what it reported */
    if (r == 0)
        r = m2c_run_put_selection(run, p->engine, err);
    m2c_score_free(&s);
    return r;
}

static void teardown(struct m2c_run *run)
{
    struct ppl *p = run->priv;
    m2c_engine_close(p->engine);
    m2c_engine_close(p->dense);
    m2c_text_free(&p->text);
}

const struct m2c_exp_ops m2c_exp_ppl = {
    .p = {.name = "ppl",
          .desc = "accuracy: perplexity, KL and agreement with dense, selector recall",
          .priv_size = sizeof(struct ppl)},
    .setup = setup,
    .step = step,
    .teardown = teardown,
};
