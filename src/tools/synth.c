/* SPDX-License-Identifier: MIT */
/* m2c synth: a store of a model's shape with random weights, for measuring what
 * depends on sizes alone. */
#include "tools/commands.h"

#include "base/clock.h"
#include "ops/preset.h"
#include "store/store.h"
#include "token/token.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const acts[] = {"own", "silu", "gelu", "relu", NULL};
static const char *const widths[] = {"f32", "f16", "i8", "i4", NULL};
enum { WIDTH_F16 = 1 };

struct settings {
    const char *dst, *preset, *layout, *arrange, *tokenizer;
    int64_t dim, hidden, layers, heads, kv_heads, head_dim, vocab, ctx, seed; /* 0: own */
    int act, width;
    bool no_gate, overwrite;
};

/* One line a preset; the caller frees it. NULL: no memory. */
static char *list_presets(void)
{
    char *text = NULL;
    size_t size, n;
    FILE *f = open_memstream(&text, &size);
    const struct m2c_preset *p = m2c_preset_list(&n);
    if (!f)
        return NULL;
    fprintf(
        f,
        "The bytes of such a store and the work on them are real; the weights, and so\n"
        "all text and scores, mean nothing, and the store and every record say so.\n"
        "Shapes (FFN neurons that a token activates, where that is published):\n");
    for (size_t i = 0; i < n; i++) {
        char density[16] = "";
        if (!isnan(p[i].density))
            snprintf(density, sizeof density, " (%.0f %%)", 100 * p[i].density);
        fprintf(f, "\n  %-16s %s%s", p[i].name, p[i].desc, density);
    }
    fclose(f);
    return text;
}

static uint32_t or_own(int64_t given, uint32_t own)
{
    return given ? (uint32_t)given : own;
}

/* The preset, or llama's habits around the sizes that are given. */
static int make_shape(const struct settings *s, struct m2c_model_cfg *c,
                      struct m2c_err *err)
{
    const struct m2c_preset *p = m2c_preset_find(s->preset ? s->preset : "1b", err);
    if (!p)
        return -EINVAL;
    *c = p->cfg;
    if (!s->preset && (!s->dim || !s->hidden || !s->layers || !s->heads))
        return m2c_fail(err, -EINVAL,
                        "--preset NAME, or --dim, --hidden, --layers and "
                        "--heads are needed");
    if (!s->preset) {
        snprintf(c->name, sizeof c->name, "own shape");
        c->kv_heads = c->head_dim = 0;
    }
    c->dim = or_own(s->dim, c->dim);
    c->hidden = or_own(s->hidden, c->hidden);
    c->layers = or_own(s->layers, c->layers);
    c->kv_heads = or_own(s->kv_heads, c->kv_heads ? c->kv_heads : (uint32_t)s->heads);
    c->heads = or_own(s->heads, c->heads);
    if (!c->head_dim || s->dim || s->heads)
        c->head_dim = c->dim / c->heads;
    c->head_dim = or_own(s->head_dim, c->head_dim);
    c->vocab = or_own(s->vocab, c->vocab);
    c->ctx = or_own(s->ctx, c->ctx);
    if (s->act > 0)
        c->act = (enum m2c_act)(s->act - 1); /* in the order of m2c_act */
    c->has_gate = c->has_gate && !s->no_gate;
    return m2c_model_cfg_check(c, err);
}

/* False: done, with an exit code. */
static bool read_flags(struct settings *s, struct m2c_model_cfg *cfg, int argc,
                       char **argv, int *exit_code)
{
#define SIZE(flag, member, what)                                                         \
    {                                                                                    \
        flag, 0, M2C_FLAG_INT, &s->member, "N", .min = 1, .max = UINT32_MAX,             \
                                                .help = what                             \
    }
    const struct m2c_flag flags[] = {
        {"--preset", 0, M2C_FLAG_STR, &s->preset, "NAME",
         .help = "a known model's shape"},
        SIZE("--layers", layers, "layers; this and the sizes below replace the preset's"),
        SIZE("--dim", dim, "width of the model"),
        SIZE("--hidden", hidden, "FFN neurons a layer"),
        SIZE("--heads", heads, "heads"),
        SIZE("--kv-heads", kv_heads, "heads of keys and values"),
        SIZE("--head-dim", head_dim, "width of a head (dim / heads)"),
        SIZE("--vocab", vocab, "tokens"),
        SIZE("--ctx", ctx, "longest context"),
        {"--act", 0, M2C_FLAG_ENUM, &s->act, .choices = acts, .help = "activation (own)"},
        {"--no-gate", 0, M2C_FLAG_ON, &s->no_gate, .help = "an FFN of two matrices"},
        {"--seed", 0, M2C_FLAG_INT, &s->seed, "N", .min = 0, .max = 9007199254740992.0,
         .help = "of the weights (1)"},
        {"--layout", 0, M2C_FLAG_STR, &s->layout, "NAME",
         .help = "how precision classes are stored (copies)"},
        {"--arrange", 0, M2C_FLAG_STR, &s->arrange, "NAME",
         .help = "FFN records by part or by neuron (part)"},
        {"--dense", 0, M2C_FLAG_ENUM, &s->width, .choices = widths,
         .help = "type of embeddings, attention and head (f16)"},
        {"--tokenizer", 0, M2C_FLAG_STR, &s->tokenizer, "FILE",
         .help = "a tokenizer, for runs on text"},
        {"--overwrite", 0, M2C_FLAG_ON, &s->overwrite,
         .help = "replace DST.h5 if it is a store"},
    };
#undef SIZE
    char *notes = list_presets();
    const struct m2c_cli cli = {
        .name = "m2c synth",
        .args = "DST.h5",
        .brief = "Writes a store of a given shape with random weights",
        .notes = notes,
        .flags = flags,
        .n_flags = M2C_COUNTOF(flags),
        .min_args = 1,
        .max_args = 1,
    };
    struct m2c_err err = {0};
    bool ok = m2c_cli_parse(&cli, argc, argv, &s->dst, NULL, exit_code);
    if (ok && make_shape(s, cfg, &err)) {
        *exit_code = m2c_cli_usage(&cli, "%s", err.msg);
        ok = false;
    }
    free(notes);
    return ok;
}

static int open_tokenizer(const struct settings *s, const struct m2c_model_cfg *cfg,
                          struct m2c_tok **out, struct m2c_err *err)
{
    *out = NULL;
    int rc = s->tokenizer ? m2c_tok_open_file(out, s->tokenizer, err) : 0;
    if (rc == 0 && *out && m2c_tok_vocab(*out) > cfg->vocab)
        rc = m2c_fail(err, -EINVAL, "%s: %" PRIu32 " tokens, but the model has %" PRIu32,
                      s->tokenizer, m2c_tok_vocab(*out), cfg->vocab);
    return rc;
}

static int synth(const struct settings *s, const struct m2c_model_cfg *cfg,
                 struct m2c_log *log, struct m2c_err *err)
{
    struct m2c_tok *tok = NULL;
    struct m2c_store_write_opts opts = {.layout = s->layout,
                                        .arrange = s->arrange,
                                        .overwrite = s->overwrite,
                                        .stop = m2c_cli_stop()};
    int rc = m2c_type_parse(widths[s->width], &opts.dense);
    if (rc == 0)
        rc = m2c_cli_overwrites(s->dst, s->overwrite, err);
    if (rc == 0)
        rc = open_tokenizer(s, cfg, &tok, err);
    if (rc == 0 && tok) {
        opts.tok_kind = m2c_tok_kind(tok);
        m2c_tok_source(tok, &opts.tok_bytes, &opts.tok_n);
    }
    if (rc == 0)
        rc = m2c_store_synth(s->dst, cfg, (uint64_t)s->seed, &opts, log, err);
    m2c_tok_close(tok);
    return rc;
}

int m2c_cmd_synth(int argc, char **argv)
{
    struct settings s = {
        .layout = "copies", .arrange = "part", .width = WIDTH_F16, .seed = 1};
    struct m2c_model_cfg cfg;
    struct m2c_err err = {0};
    struct stat st;
    int code;
    if (!read_flags(&s, &cfg, argc, argv, &code))
        return code;
    struct m2c_log *log = m2c_cli_log();
    uint64_t start = m2c_now_ns();
    int rc = synth(&s, &cfg, log, &err);
    double seconds = (double)(m2c_now_ns() - start) * 1e-9;
    double bytes = rc || stat(s.dst, &st) ? 0.0 : (double)st.st_size;
    if (rc == 0)
        m2c_log(log, M2C_LOG_INFO,
                "%s: %s, random weights, %.1f MiB in %.1f s, %.0f MB/s", s.dst, cfg.name,
                bytes / 0x1p20, seconds, bytes / seconds * 1e-6);
    m2c_log_close(log);
    return rc ? m2c_cli_fail(&err) : M2C_EXIT_OK;
}
