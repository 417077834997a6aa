/* SPDX-License-Identifier: MIT */
/* m2c import: a foreign model becomes a store. */
#include "tools/commands.h"

#include "base/clock.h"
#include "quant/quant.h"
#include "store/store.h"
#include "token/token.h"
#include "tools/moments.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char notes[] =
    "SRC is a GGUF file of the Llama family, a llama2.c file (version 0, 1 or 2), or\n"
    "a Hugging Face folder with config.json and safetensors. The tokenizer is that in\n"
    "the GGUF file, else taken from beside SRC.\n"
    "\n"
    "Embeddings, attention and head are stored at the source's own width: f16 where\n"
    "all of them are f16, else f32, since nothing narrower holds bf16 or f32 without\n"
    "loss. FFN neurons are stored in every class of the layout: 'copies' has f16, i8 and\n"
    "i4 as copies, 29 bits a weight; 'planes' has i16, i8 and i4 in one nested code, 16.5\n"
    "bits a weight. A calibrated quantiser first imports the model beside DST.h5 and runs\n"
    "the text through it. DST.h5 appears only when it is whole.";

/* The first of each is the default. */
static const char *const acts[] = {"own", "silu", "gelu", "relu", NULL};
static const char *const widths[] = {"own", "f32", "f16", "i8", "i4", NULL};
enum { MAX_FORMATS = 16 };

struct settings {
    const char *src, *dst, *tokenizer, *layout, *format, *arrange, *quant, *text;
    int64_t tokens;
    int act, width;
    double act_shift, input_shift; /* input_shift: NAN when not given */
    bool overwrite;
};

/* "auto" and the registered importers. */
static void list_formats(const char *out[MAX_FORMATS])
{
    size_t n = 0;
    out[n++] = "auto";
    for (const struct m2c_plugin *const *p = m2c_import_list(); *p && n + 1 < MAX_FORMATS;
         p++)
        out[n++] = (*p)->name;
    out[n] = NULL;
}

/* False: done, with an exit code. */
static bool read_flags(struct settings *s, int argc, char **argv, int *exit_code)
{
    const char *formats[MAX_FORMATS], *args[2];
    int format = 0;
    const struct m2c_flag flags[] = {
        {"--format", 0, M2C_FLAG_ENUM, &format, .choices = formats,
         .help = "what SRC is (auto)"},
        {"--tokenizer", 0, M2C_FLAG_STR, &s->tokenizer, "FILE",
         .help = "another tokenizer; 'none' leaves it out"},
        {"--layout", 0, M2C_FLAG_STR, &s->layout, "NAME",
         .help = "how precision classes are stored (copies)"},
        {"--arrange", 0, M2C_FLAG_STR, &s->arrange, "NAME",
         .help = "FFN records by part, best for whole layers, or by neuron (part)"},
        {"--quant", 0, M2C_FLAG_STR, &s->quant, "NAME",
         .help = "who chooses the FFN's scales: rtn, or moment, which needs --text (rtn)"},
        {"--text", 0, M2C_FLAG_STR, &s->text, "FILE", .help = "what to calibrate with"},
        {"--tokens", 0, M2C_FLAG_INT, &s->tokens, "N", .min = 1, .max = 1e12,
         .help = "calibrate with at most N tokens (4096)"},
        {"--dense", 0, M2C_FLAG_ENUM, &s->width, .choices = widths,
         .help = "type of embeddings, attention and head (own)"},
        {"--act", 0, M2C_FLAG_ENUM, &s->act, .choices = acts,
         .help = "activation, where the file does not say (own)"},
        {"--act-shift", 0, M2C_FLAG_FLOAT, &s->act_shift, "X", .min = -FLT_MAX,
         .max = FLT_MAX, .help = "the activation is act(x - X) (0)"},
        {"--input-relu-shift", 0, M2C_FLAG_FLOAT, &s->input_shift, "X", .min = -FLT_MAX,
         .max = FLT_MAX, .help = "attention and FFN see relu(norm(x) - X) (norm(x))"},
        {"--overwrite", 0, M2C_FLAG_ON, &s->overwrite,
         .help = "replace DST.h5 if it is a store"},
    };
    const struct m2c_cli cli = {
        .name = "m2c import",
        .args = "SRC DST.h5",
        .brief = "Converts a model to a store that m2c runs from",
        .notes = notes,
        .flags = flags,
        .n_flags = M2C_COUNTOF(flags),
        .min_args = 2,
        .max_args = 2,
    };
    list_formats(formats);
    if (!m2c_cli_parse(&cli, argc, argv, args, NULL, exit_code))
        return false;
    struct m2c_err err = {0};
    struct m2c_layout layout;
    if (m2c_layout_find(s->layout, &layout, &err)) {
        *exit_code = m2c_cli_usage(&cli, "--layout: %s", err.msg);
        return false;
    }
    enum m2c_arrange arrange;
    if (m2c_arrange_parse(s->arrange, &arrange, &err)) {
        *exit_code = m2c_cli_usage(&cli, "--arrange: %s", err.msg);
        return false;
    }
    const struct m2c_quant *quant = m2c_quant_find(s->quant, &err);
    if (!quant || quant->calibrated != (s->text != NULL)) {
        *exit_code = m2c_cli_usage(&cli, "--quant: %s",
                                   !quant          ? err.msg
                                   : s->text       ? "this one takes no --text"
                                                   : "this one needs --text FILE");
        return false;
    }
    s->format = formats[format];
    s->src = args[0];
    s->dst = args[1];
    return true;
}

/* f16 where that holds every dense matrix exactly. */
static enum m2c_type own_width(const struct m2c_import *src)
{
    static const enum m2c_tensor_kind kinds[] = {M2C_T_EMBED, M2C_T_HEAD, M2C_T_WQ,
                                                 M2C_T_WK,    M2C_T_WV,   M2C_T_WO};
    const struct m2c_model_cfg *cfg = m2c_import_cfg(src);
    for (size_t i = 0; i < M2C_COUNTOF(kinds); i++) {
        uint32_t rows, cols;
        uint32_t layers = m2c_tensor_kind_per_layer(kinds[i]) ? cfg->layers : 1;
        if (!m2c_tensor_shape(cfg, kinds[i], &rows, &cols))
            continue;
        for (uint32_t l = 0; l < layers; l++)
            if (m2c_import_type(src, kinds[i], l) != M2C_F16)
                return M2C_F32;
    }
    return M2C_F16;
}

/* The tokenizer to embed: NULL with 0 when there is none or none is wanted. */
static int open_tokenizer(const struct settings *s, const struct m2c_import *src,
                          struct m2c_log *log, struct m2c_tok **out, struct m2c_err *err)
{
    const char *path = s->tokenizer ? s->tokenizer : m2c_import_tokenizer(src);
    uint32_t vocab = m2c_import_cfg(src)->vocab;
    *out = NULL;
    if (s->tokenizer && strcmp(s->tokenizer, "none") == 0)
        return 0;
    if (!path) {
        m2c_log(log, M2C_LOG_WARN,
                "%s: no tokenizer in or beside it, so that the store will take no text; "
                "give --tokenizer FILE",
                s->src);
        return 0;
    }
    int rc = m2c_tok_open_file(out, path, err);
    if (rc == 0 && m2c_tok_vocab(*out) > vocab) {
        rc = m2c_fail(err, -EINVAL, "%s: %" PRIu32 " tokens, but the model has %" PRIu32,
                      path, m2c_tok_vocab(*out), vocab);
        m2c_tok_close(*out);
        *out = NULL;
    }
    if (rc && !s->tokenizer)
        m2c_fail_in(err, rc,
                    "the tokenizer beside the model cannot be used (give another, or "
                    "--tokenizer none)");
    return rc;
}

/* Imports the model under another name, as exactly as a store can have it, and
 * runs the text through that. */
static int measure(const struct settings *s, struct m2c_import *src,
                   const struct m2c_store_write_opts *final, struct m2c_log *log,
                   float **moments, struct m2c_err *err)
{
    char path[PATH_MAX];
    struct m2c_store *store = NULL;
    struct m2c_store_write_opts opts = *final;
    opts.layout = "planes";
    opts.quant = "rtn";
    opts.overwrite = false;
    if (!final->tok_kind)
        return m2c_fail(err, -EINVAL, "--text: the model has no tokenizer");
    int n = snprintf(path, sizeof path, "%s.calibrate-%ld", s->dst, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof path)
        return m2c_fail(err, -ENAMETOOLONG, "%s: the name is too long", s->dst);
    int rc = m2c_store_import(path, src, &opts, log, err);
    if (rc)
        return rc;
    rc = m2c_store_open(&store, path, err);
    if (rc == 0)
        rc = m2c_moments(store, s->text, (uint64_t)s->tokens, log, moments, err);
    m2c_store_close(store);
    unlink(path);
    return rc;
}

static int write_store(const struct settings *s, struct m2c_import *src,
                       const struct m2c_tok *tok, struct m2c_log *log,
                       struct m2c_err *err)
{
    struct m2c_store_write_opts opts = {
        .layout = s->layout,
        .arrange = s->arrange,
        .quant = s->quant,
        .dense = own_width(src),
        .overwrite = s->overwrite,
        .stop = m2c_cli_stop(),
    };
    float *moments = NULL;
    int rc = s->width > 0 ? m2c_type_parse(widths[s->width], &opts.dense) : 0;
    if (rc)
        return m2c_fail(err, rc, "--dense: no type '%s'", widths[s->width]);
    if (tok) {
        opts.tok_kind = m2c_tok_kind(tok);
        m2c_tok_source(tok, &opts.tok_bytes, &opts.tok_n);
    }
    const struct m2c_model_cfg *c = m2c_import_cfg(src);
    m2c_log(log, M2C_LOG_INFO,
            "%s: %s, %" PRIu32 " layers of dim %" PRIu32 " and %" PRIu32
            " neurons, dense tensors as %s, tokenizer %s",
            c->name, m2c_import_format(src), c->layers, c->dim, c->hidden,
            m2c_type_name(opts.dense), tok ? opts.tok_kind : "none");
    if (s->text)
        rc = measure(s, src, &opts, log, &moments, err);
    opts.moments = moments;
    if (rc == 0)
        rc = m2c_store_import(s->dst, src, &opts, log, err);
    free(moments);
    return rc;
}

static int convert(const struct settings *s, struct m2c_log *log, struct m2c_err *err)
{
    const struct m2c_import_opts opts = {
        .format = s->format,
        .act = s->act - 1, /* "own" is -1, the others are in the order of m2c_act */
        .act_shift = (float)s->act_shift,
        .input_relu = !isnan(s->input_shift),
        .input_relu_shift = isnan(s->input_shift) ? 0 : (float)s->input_shift,
    };
    struct m2c_import *src = NULL;
    struct m2c_tok *tok = NULL;
    int rc = m2c_cli_overwrites(s->dst, s->overwrite, err);
    if (rc == 0)
        rc = m2c_import_open(&src, s->src, &opts, err);
    if (rc == 0)
        rc = open_tokenizer(s, src, log, &tok, err);
    if (rc == 0)
        rc = write_store(s, src, tok, log, err);
    m2c_tok_close(tok);
    m2c_import_close(src);
    return rc;
}

int m2c_cmd_import(int argc, char **argv)
{
    struct settings s = {.layout = "copies",
                         .arrange = "part",
                         .quant = "rtn",
                         .tokens = 4096,
                         .input_shift = NAN};
    struct m2c_err err = {0};
    struct stat st;
    int code;
    if (!read_flags(&s, argc, argv, &code))
        return code;
    struct m2c_log *log = m2c_cli_log();
    uint64_t start = m2c_now_ns();
    int rc = convert(&s, log, &err);
    if (rc == 0)
        m2c_log(log, M2C_LOG_INFO, "%s: %.1f MiB in %.1f s", s.dst,
                stat(s.dst, &st) ? 0.0 : (double)st.st_size / 0x1p20,
                (double)(m2c_now_ns() - start) * 1e-9);
    m2c_log_close(log);
    return rc ? m2c_cli_fail(&err) : M2C_EXIT_OK;
}
