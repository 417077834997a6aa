/* SPDX-License-Identifier: MIT */
/* Opening a store with its settings. */
#include "tools/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What run, ppl and eval do without a config: dense, all resident, computed
 * in place. */
static const char *const dense[] = {
    "selector.kind=all", "precision.active=1", "precision.ratio=1:0:0",
    "hbm.bytes=0",       "dram.bytes=100%",    "ssd.engine=pread",
    "ssd.direct=off",
};

static int settle(struct m2c_session *s, const char *model,
                  const struct m2c_session_flags *f, struct m2c_err *err)
{
    int r = m2c_optset_open(&s->set, m2c_settings_table, m2c_settings_rows);
    if (r < 0)
        return m2c_fail(err, r, "out of memory");
    if (f->config)
        r = m2c_optset_load(s->set, f->config, err);
    for (size_t i = 0; i < M2C_COUNTOF(dense) && r == 0 && !f->config; i++)
        r = m2c_optset_assign(s->set, dense[i], "default", err);
    for (size_t i = 0; i < f->n_defaults && r == 0 && !f->config; i++)
        r = m2c_optset_assign(s->set, f->defaults[i], "default", err);
    for (unsigned i = 0; i < f->set.n && r == 0; i++)
        r = m2c_optset_assign(s->set, f->set.v[i], "--set", err);
    if (r == 0)
        r = m2c_optset_set(s->set, "model", "path", model, "argument", err);
    if (r == 0 && f->rank)
        r = m2c_optset_set(s->set, "model", "rank", f->rank, "--rank", err);
    if (r == 0 && m2c_optset_axes(s->set))
        r = m2c_fail(err, -EINVAL, "[sweep] is for m2c-exp: here is one point only");
    if (r == 0)
        r = m2c_settings_normalise(s->set, err);
    return r < 0 ? r : m2c_settings_apply(s->set, &s->cfg, err);
}

int m2c_session_open(struct m2c_session *s, const char *model,
                     const struct m2c_session_flags *f, struct m2c_err *err)
{
    memset(s, 0, sizeof *s);
    int r = settle(s, model, f, err);
    if (r < 0) {
        s->config_fault = true;
        return r;
    }
    r = m2c_settings_store(&s->cfg, &s->store, err);
    if (r < 0)
        return r;
    const struct m2c_model_cfg *m = m2c_store_cfg(s->store);
    if (s->cfg.model.rank[0])
        r = m2c_rank_read(&s->rank, s->cfg.model.rank, m2c_store_model_hash(s->store),
                          m->layers, m->hidden, err);
    const char *kind;
    const void *bytes;
    size_t n;
    if (r == 0 && m2c_store_tokenizer(s->store, &kind, &bytes, &n))
        r = m2c_text_tokenizer(s->store, &s->tok, err);
    if (r < 0)
        return r;
    r = m2c_settings_engine(&s->cfg, s->store, s->rank, (uint64_t)s->cfg.experiment.seed,
                            &s->engine, err);
    s->config_fault = r < 0;
    return r;
}

int m2c_session_open_text(struct m2c_session *s, const char *model,
                          const struct m2c_session_flags *f, struct m2c_err *err)
{
    int r = m2c_session_open(s, model, f, err);
    if (r == 0 && !s->tok)
        r = m2c_fail(err, -ENOENT,
                     "%s holds no tokenizer; import it with --tokenizer FILE", model);
    return r;
}

void m2c_session_close(struct m2c_session *s)
{
    m2c_tok_close(s->tok);
    m2c_rank_free(s->rank);
    m2c_store_close(s->store);
    m2c_optset_close(s->set);
    free(s->engine.layer_ratio);
    memset(s, 0, sizeof *s);
}

int m2c_session_fail(const struct m2c_session *s, const struct m2c_err *err)
{
    return s->config_fault ? m2c_cli_fail_config(err) : m2c_cli_fail(err);
}
