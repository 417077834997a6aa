/* SPDX-License-Identifier: MIT */
/* GGUF files of the architecture `llama`: where its tensors lie and how their
 * numbers are encoded. As with Hugging Face folders, every tensor in the file is
 * one that the model needs, or known to be without effect, or an error. The
 * tokenizer is in the same file (token/gguf.c). */
#include "import/gguf_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAME = 65 };

static const char *const names[M2C_N_TENSOR_KINDS] = {
    [M2C_T_EMBED] = "token_embd",
    [M2C_T_HEAD] = "output",
    [M2C_T_FINAL_NORM] = "output_norm",
    [M2C_T_ATTN_NORM] = "attn_norm",
    [M2C_T_WQ] = "attn_q",
    [M2C_T_WK] = "attn_k",
    [M2C_T_WV] = "attn_v",
    [M2C_T_WO] = "attn_output",
    [M2C_T_FFN_NORM] = "ffn_norm",
    [M2C_T_GATE] = "ffn_gate",
    [M2C_T_UP] = "ffn_up",
    [M2C_T_DOWN] = "ffn_down",
};

/* enum ggml_type; gaps are types that are gone. */
static const struct {
    const char *name;
    int enc; /* -1: not read */
} types[] = {
    {"F32", M2C_ENC_F32},
    {"F16", M2C_ENC_F16},
    {"Q4_0", M2C_ENC_Q4_0},
    {"Q4_1", M2C_ENC_Q4_1},
    {NULL, -1},
    {NULL, -1},
    {"Q5_0", M2C_ENC_Q5_0},
    {"Q5_1", M2C_ENC_Q5_1},
    {"Q8_0", M2C_ENC_Q8_0},
    {"Q8_1", -1},
    {"Q2_K", -1},
    {"Q3_K", -1},
    {"Q4_K", M2C_ENC_Q4_K},
    {"Q5_K", M2C_ENC_Q5_K},
    {"Q6_K", M2C_ENC_Q6_K},
    {"Q8_K", -1},
    {"IQ2_XXS", -1},
    {"IQ2_XS", -1},
    {"IQ3_XXS", -1},
    {"IQ1_S", -1},
    {"IQ4_NL", -1},
    {"IQ3_S", -1},
    {"IQ2_S", -1},
    {"IQ4_XS", -1},
    {"I8", -1},
    {"I16", -1},
    {"I32", -1},
    {"I64", -1},
    {"F64", -1},
    {"IQ1_M", -1},
    {"BF16", M2C_ENC_BF16},
    {NULL, -1},
    {NULL, -1},
    {NULL, -1},
    {"TQ1_0", -1},
    {"TQ2_0", -1},
    {NULL, -1},
    {NULL, -1},
    {NULL, -1},
    {"MXFP4", -1},
};

struct gguf {
    struct m2c_import_file file;
    struct m2c_gguf g;
    struct m2c_source *src; /* [kind + layer · M2C_N_TENSOR_KINDS] */
};

static bool sniff(const struct m2c_import_probe *p)
{
    size_t n = strlen(p->path);
    if (p->is_dir)
        return false;
    return m2c_gguf_magic(p->head, p->n_head) ||
           (n >= 5 && strcmp(p->path + n - 5, ".gguf") == 0);
}

static void tensor_name(enum m2c_tensor_kind kind, uint32_t layer, char out[MAX_NAME])
{
    if (m2c_tensor_kind_per_layer(kind))
        snprintf(out, MAX_NAME, "blk.%u.%s.weight", (unsigned)layer, names[kind]);
    else
        snprintf(out, MAX_NAME, "%s.weight", names[kind]);
}

static int set_encoding(const struct m2c_gguf_tensor *t, struct m2c_source *src,
                        struct m2c_err *err)
{
    bool known = t->type < M2C_COUNTOF(types) && types[t->type].name;
    if (!known)
        return m2c_fail(err, -EINVAL,
                        "offset %" PRIu64 ": tensor '%s' has the type %u, which is none",
                        t->info_at, t->name, (unsigned)t->type);
    if (types[t->type].enc < 0)
        return m2c_fail(
            err, -EINVAL,
            "offset %" PRIu64 ": tensor '%s' has the type %s, which is not read "
            "(have: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, "
            "Q6_K)",
            t->info_at, t->name, types[t->type].name);
    src->enc = (enum m2c_enc)types[t->type].enc;
    uint32_t elements = m2c_enc_block(src->enc).elements;
    if (t->dim[0] % elements)
        return m2c_fail(err, -EINVAL,
                        "offset %" PRIu64 ": tensor '%s' of type %s has rows of %" PRIu64
                        ", expected a multiple of %u",
                        t->info_at, t->name, types[t->type].name, t->dim[0],
                        (unsigned)elements);
    return 0;
}

static int take(struct gguf *s, const struct m2c_model_cfg *cfg,
                enum m2c_tensor_kind kind, uint32_t layer, struct m2c_err *err)
{
    char name[MAX_NAME];
    uint32_t rows, cols;
    if (!m2c_tensor_shape(cfg, kind, &rows, &cols))
        return 0;
    tensor_name(kind, layer, name);
    struct m2c_gguf_tensor *t = m2c_gguf_tensor(&s->g, name);
    if (!t)
        return m2c_fail(err, -EINVAL, "no tensor '%s'", name);
    if (t->dim[0] != cols || t->dim[1] != rows || t->dim[2] != 1 || t->dim[3] != 1)
        return m2c_fail(err, -EINVAL,
                        "offset %" PRIu64 ": tensor '%s' has the shape [%" PRIu64
                        ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
                        "], the keys imply [%u, %u]",
                        t->info_at, name, t->dim[0], t->dim[1], t->dim[2], t->dim[3],
                        (unsigned)cols, (unsigned)rows);
    struct m2c_source *src = &s->src[kind + (size_t)layer * M2C_N_TENSOR_KINDS];
    *src = (struct m2c_source){.file = &s->file, .offset = t->at, .group = 1};
    int rc = set_encoding(t, src, err);
    if (rc)
        return rc;
    uint64_t bytes = m2c_source_bytes(src, 0, (uint64_t)rows * cols);
    if (!m2c_range_ok(t->at, bytes, s->file.size))
        return m2c_fail(err, -EINVAL,
                        "offset %" PRIu64 ": tensor '%s' should be bytes %" PRIu64
                        " to %" PRIu64 ", but the file has %" PRIu64,
                        t->info_at, name, t->at, t->at + bytes, s->file.size);
    t->used = true;
    return 0;
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

/* What is left over must be without effect. */
static int check_unused(const struct m2c_gguf *g, struct m2c_err *err)
{
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct m2c_gguf_tensor *t = &g->tensor[i];
        struct m2c_quoted q = m2c_import_quote(t->name);
        if (t->used ||
            ends_with(t->name, ".attn_rot_embd.weight")) /* follow from the base */
            continue;
        if (strcmp(t->name, "rope_freqs.weight") == 0)
            return m2c_fail(err, -EINVAL,
                            "offset %" PRIu64
                            ": tensor '%s': scaled RoPE is not supported",
                            t->info_at, q.s);
        return m2c_fail(err, -EINVAL,
                        "offset %" PRIu64 ": tensor '%s' has no place in a Llama model",
                        t->info_at, q.s);
    }
    return 0;
}

struct extent {
    uint64_t at, bytes;
};

static int by_place(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* No two tensors share bytes, and none begins in the header. */
static int check_overlap(const struct gguf *s, const struct m2c_model_cfg *cfg,
                         struct m2c_err *err)
{
    size_t n = (size_t)cfg->layers * M2C_N_TENSOR_KINDS, used = 0;
    struct extent *e = calloc(n, sizeof *e);
    int rc = 0;
    if (!e)
        return m2c_fail(err, -ENOMEM, "no memory");
    for (size_t i = 0; i < n; i++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)(i % M2C_N_TENSOR_KINDS);
        uint32_t rows, cols;
        if (!s->src[i].file || !m2c_tensor_shape(cfg, kind, &rows, &cols))
            continue;
        e[used++] = (struct extent){
            s->src[i].offset, m2c_source_bytes(&s->src[i], 0, (uint64_t)rows * cols)};
    }
    qsort(e, used, sizeof *e, by_place);
    for (size_t i = 1; i < used && rc == 0; i++)
        if (e[i].at - e[i - 1].at < e[i - 1].bytes)
            rc = m2c_fail(err, -EINVAL,
                          "offset %" PRIu64
                          ": a tensor begins here, inside the one of %" PRIu64
                          " bytes at %" PRIu64,
                          e[i].at, e[i - 1].bytes, e[i - 1].at);
    free(e);
    return rc;
}

static int take_all(struct gguf *s, const struct m2c_model_cfg *cfg, struct m2c_err *err)
{
    /* each layer has tensors, so that a lie about their number is found here */
    if (cfg->layers > s->g.n_tensors)
        return m2c_fail(err, -EINVAL,
                        "llama.block_count is %u, but there are %zu tensors",
                        (unsigned)cfg->layers, s->g.n_tensors);
    s->src = calloc((size_t)cfg->layers * M2C_N_TENSOR_KINDS, sizeof *s->src);
    if (!s->src)
        return m2c_fail(err, -ENOMEM, "no memory");
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        uint32_t layers = m2c_tensor_kind_per_layer(kind) ? cfg->layers : 1;
        for (uint32_t l = 0; l < layers; l++) {
            int rc = take(s, cfg, kind, l, err);
            if (rc)
                return rc;
        }
    }
    int rc = check_unused(&s->g, err);
    return rc ? rc : check_overlap(s, cfg, err);
}

/* The vocabulary is as large as the embedding; a head of its own is one that is
 * there. */
static int read_vocab(const struct m2c_gguf *g, struct m2c_model_cfg *cfg,
                      struct m2c_err *err)
{
    char name[MAX_NAME];
    tensor_name(M2C_T_EMBED, 0, name);
    const struct m2c_gguf_tensor *t = m2c_gguf_tensor(g, name);
    if (!t)
        return m2c_fail(err, -EINVAL, "no tensor '%s'", name);
    if (t->dim[1] < 1 || t->dim[1] > INT32_MAX)
        return m2c_fail(err, -EINVAL,
                        "offset %" PRIu64 ": tensor '%s' has %" PRIu64
                        " rows, expected a vocabulary",
                        t->info_at, name, t->dim[1]);
    cfg->vocab = (uint32_t)t->dim[1];
    tensor_name(M2C_T_HEAD, 0, name);
    cfg->tied_head = !m2c_gguf_tensor(g, name);
    return 0;
}

static int gguf_open(struct m2c_import *im, const char *path, struct m2c_err *err)
{
    struct gguf *s = im->priv;
    int rc = m2c_import_file_open(&s->file, path, err);
    if (rc)
        return rc;
    rc = m2c_gguf_open(&s->g, s->file.fd, s->file.size, err);
    if (rc == 0)
        rc = m2c_gguf_config(&s->g, &im->cfg, err);
    if (rc == 0)
        rc = read_vocab(&s->g, &im->cfg, err);
    if (rc == 0)
        rc = m2c_model_cfg_check(&im->cfg, err);
    if (rc == 0)
        rc = take_all(s, &im->cfg, err);
    if (rc)
        return m2c_fail_in(err, rc, "%s", path);
    m2c_import_name(&im->cfg, path);
    if (m2c_gguf_find(&s->g, "tokenizer.ggml.model") && !(im->tokenizer = strdup(path)))
        return m2c_fail(err, -ENOMEM, "%s: no memory", path);
    return 0;
}

static void gguf_close(struct m2c_import *im)
{
    struct gguf *s = im->priv;
    m2c_gguf_close(&s->g);
    m2c_import_file_close(&s->file);
    free(s->src);
}

static void find(const struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer,
                 struct m2c_source *out)
{
    const struct gguf *s = im->priv;
    *out = s->src[kind + (size_t)layer * M2C_N_TENSOR_KINDS];
}

const struct m2c_import_ops m2c_import_gguf = {
    .p = {.name = "gguf",
          .desc = "GGUF files of the Llama family",
          .priv_size = sizeof(struct gguf)},
    .sniff = sniff,
    .open = gguf_open,
    .close = gguf_close,
    .find = find,
};
