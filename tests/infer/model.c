/* SPDX-License-Identifier: MIT */
/* A store of the shipped model. */
#include "infer/model.h"

#include "import/import.h"
#include "m2c_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void need(int r, const char *what, const struct m2c_err *err)
{
    if (r >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(1);
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    if (!v) {
        fprintf(stderr, "%s is not set: run through meson test\n", name);
        exit(1);
    }
    return v;
}

void model_open(struct model *m, const char *test)
{
    model_open_as(m, test, "copies", "part");
}

void model_open_as(struct model *m, const char *test, const char *layout,
                   const char *arrange)
{
    struct m2c_err err = {0};
    struct m2c_import *src;
    if (!M2C_HAVE_PCRE2 || !M2C_HAVE_LIBAIO) {
        printf("skipped: the shipped model needs PCRE2, and these tests libaio\n");
        exit(77);
    }
    char from[512], text[512];
    snprintf(from, sizeof from, "%s/data/tiny", env("M2C_SOURCE"));
    snprintf(text, sizeof text, "%s/data/sample.txt", env("M2C_SOURCE"));
    snprintf(m->path, sizeof m->path, "%s/test-%s-%s-%s-%ld.h5", env("M2C_BUILD"), test,
             layout, arrange, (long)getpid());
    struct m2c_import_opts io = {.format = "auto", .act = -1};
    need(m2c_import_open(&src, from, &io, &err), "import", &err);
    need(m2c_tok_open_file(&m->tok, from, &err), "tokenizer", &err);
    struct m2c_store_write_opts wo = {.layout = layout,
                                      .arrange = arrange,
                                      .dense = M2C_F16,
                                      .overwrite = true,
                                      .tok_kind = m2c_tok_kind(m->tok)};
    m2c_tok_source(m->tok, &wo.tok_bytes, &wo.tok_n);
    need(m2c_store_import(m->path, src, &wo, NULL, &err), "import", &err);
    m2c_import_close(src);
    need(m2c_store_open(&m->store, m->path, &err), "open", &err);
    need(m2c_text_load(text, "<|endoftext|>", 400, m->tok, &m->text, &err), "text", &err);
}

void model_close(struct model *m)
{
    m2c_text_free(&m->text);
    m2c_tok_close(m->tok);
    m2c_store_close(m->store);
    unlink(m->path);
}

uint64_t model_unit_bytes(const struct model *m)
{
    const struct m2c_model_cfg *c = m2c_store_cfg(m->store);
    struct m2c_slot slot;
    m2c_class_slot(m2c_store_layout(m->store), 0, c->dim, c->has_gate, &slot);
    return (uint64_t)slot.bytes * c->hidden * c->layers;
}

void model_cfg(const struct model *m, double hbm_share, struct m2c_engine_cfg *cfg)
{
    struct m2c_tier_plan plan;
    struct m2c_err err = {0};
    m2c_engine_dense_cfg(m->store, cfg);
    cfg->selector = "oracle";
    cfg->active = NAN;
    cfg->tier.ratio = (struct m2c_ratio){3, {.25, .25, .5}};
    cfg->tier.hbm_bytes = (uint64_t)ceil(hbm_share * (double)model_unit_bytes(m));
    cfg->tier.dram_bytes = UINT64_MAX;
    cfg->tier.lookahead = 1;
    need(m2c_tier_plan(m->store, &cfg->tier, &plan, &err), "plan", &err);
    cfg->tier.dram_bytes = 3 * plan.block_bytes;
}
