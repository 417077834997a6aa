/* SPDX-License-Identifier: MIT */
/* Files of karpathy/llama2.c (export.py at 350e04fe), all three versions:
 *
 *   v0  seven int32 (dim, hidden, layers, heads, kv heads, vocab, context;
 *       a negative vocab means a head of its own), then f32 tensors
 *   v1  "24ka", int32 1, the seven (vocab positive), u8 "head is tied", zeros
 *       up to byte 256, then f32 tensors in another order
 *   v2  the same with int32 2 and, at byte 37, int32 group; norms in f32, then
 *       matrices: int8[n] followed by f32[n / group], each layer's own
 *
 * A kind's layers follow each other. v0 also has two RoPE tables, which
 * follow from theta 10000 and are skipped. The size must be exact: it is the
 * only check that these files offer. */
#include "import/import_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_FIELDS = 7, V0_HEADER = 28, V1_HEADER = 256, TIED_AT = 36, GROUP_AT = 37 };
static const char magic[4] = {'2', '4', 'k', 'a'}; /* 0x616b3432 */

static const char *const field_names[HEADER_FIELDS] = {
    "dim", "hidden", "layers", "heads", "kv heads", "vocab", "context"};

struct llama2c {
    struct m2c_import_file file;
    uint32_t version, group;
    struct {
        uint64_t offset, stride; /* of layer 0; from a layer to the next */
    } kind[M2C_N_TENSOR_KINDS];
};

/* What follows the header, in this order. */
static const enum m2c_tensor_kind order_v0[] = {
    M2C_T_EMBED,    M2C_T_ATTN_NORM, M2C_T_WQ,   M2C_T_WK, M2C_T_WV,         M2C_T_WO,
    M2C_T_FFN_NORM, M2C_T_GATE,      M2C_T_DOWN, M2C_T_UP, M2C_T_FINAL_NORM, M2C_T_HEAD};
static const enum m2c_tensor_kind order_v1[] = {
    M2C_T_ATTN_NORM, M2C_T_FFN_NORM, M2C_T_FINAL_NORM, M2C_T_EMBED, M2C_T_WQ, M2C_T_WK,
    M2C_T_WV,        M2C_T_WO,       M2C_T_GATE,       M2C_T_DOWN,  M2C_T_UP, M2C_T_HEAD};

static int32_t le32(const uint8_t *p)
{
    return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                     (uint32_t)p[3] << 24);
}

static bool sniff(const struct m2c_import_probe *p)
{
    if (p->is_dir)
        return false;
    if (p->n_head >= sizeof magic && memcmp(p->head, magic, sizeof magic) == 0)
        return true;
    /* v0 has no magic. Most of its fields are sizes of a believable model;
     * text and other formats have bytes in the upper half of most words. */
    if (p->n_head < V0_HEADER)
        return false;
    int believable = 0;
    for (int i = 0; i < HEADER_FIELDS; i++) {
        int64_t v = le32(p->head + 4 * i);
        if (i == 5 && v < 0)
            v = -v;
        believable += v >= 1 && v <= 1 << 24;
    }
    return believable >= 4;
}

static int read_config(struct m2c_import *im, const uint8_t *h, uint32_t at,
                       const char *path, struct m2c_err *err)
{
    struct llama2c *s = im->priv;
    struct m2c_model_cfg *c = &im->cfg;
    int64_t v[HEADER_FIELDS];
    for (unsigned i = 0; i < HEADER_FIELDS; i++) {
        v[i] = le32(h + at + 4 * i);
        if (v[i] < 1 && !(i == 5 && s->version == 0 && v[i] < 0))
            return m2c_fail(err, -EINVAL,
                            "%s: offset %u: %s is %lld, expected at least 1", path,
                            (unsigned)(at + 4 * i), field_names[i], (long long)v[i]);
    }
    strcpy(c->arch, "llama");
    c->dim = (uint32_t)v[0];
    c->hidden = (uint32_t)v[1];
    c->layers = (uint32_t)v[2];
    c->heads = (uint32_t)v[3];
    c->kv_heads = (uint32_t)v[4];
    c->vocab = (uint32_t)(v[5] < 0 ? -v[5] : v[5]);
    c->ctx = (uint32_t)v[6];
    if (s->version == 0)
        c->tied_head = v[5] > 0;
    else if (h[TIED_AT] <= 1)
        c->tied_head = h[TIED_AT];
    else
        return m2c_fail(err, -EINVAL,
                        "%s: offset %d: the tied-head flag is %d, expected "
                        "0 or 1",
                        path, TIED_AT, h[TIED_AT]);
    if (c->dim % c->heads)
        return m2c_fail(err, -EINVAL, "%s: offset %u: dim %u is no multiple of %u heads",
                        path, (unsigned)at, (unsigned)c->dim, (unsigned)c->heads);
    c->head_dim = c->dim / c->heads;
    c->experts = 1;
    c->has_gate = true;
    c->act = M2C_ACT_SILU;
    c->norm_eps = 1e-5f;
    c->rope = M2C_ROPE_INTERLEAVED;
    c->rope_theta = 10000;
    c->bos = c->vocab > 2 ? 1 : -1; /* as every tokenizer of llama2.c has them */
    c->eos = c->vocab > 2 ? 2 : -1;
    int rc = m2c_model_cfg_check(c, err);
    return rc ? m2c_fail_in(err, rc, "%s: header at offset %u", path, (unsigned)at) : 0;
}

/* Lays the tensors out behind the header. The checked config bounds all sums
 * far below 2^64. */
static int place(struct m2c_import *im, const char *path, struct m2c_err *err)
{
    struct llama2c *s = im->priv;
    const struct m2c_model_cfg *c = &im->cfg;
    const enum m2c_tensor_kind *order = s->version == 0 ? order_v0 : order_v1;
    uint64_t at = s->version == 0 ? V0_HEADER : V1_HEADER;
    for (size_t i = 0; i < M2C_COUNTOF(order_v0); i++) {
        enum m2c_tensor_kind kind = order[i];
        uint32_t rows, cols;
        if (kind == M2C_T_HEAD && s->version == 0) /* the RoPE tables come before */
            at += (uint64_t)c->ctx * c->head_dim * sizeof(float);
        if (!m2c_tensor_shape(c, kind, &rows, &cols))
            continue;
        uint64_t n = (uint64_t)rows * cols, bytes = n * sizeof(float);
        if (s->version == 2 && !m2c_tensor_kind_is_norm(kind)) {
            if (n % s->group)
                return m2c_fail(err, -EINVAL,
                                "%s: offset %d: groups of %u do not divide the %" PRIu64
                                " weights of %s",
                                path, GROUP_AT, (unsigned)s->group, n,
                                m2c_tensor_kind_name(kind));
            bytes = n + n / s->group * sizeof(float);
        }
        s->kind[kind].offset = at;
        s->kind[kind].stride = bytes;
        at += bytes * (m2c_tensor_kind_per_layer(kind) ? c->layers : 1);
    }
    if (s->file.size < at)
        return m2c_fail(err, -EINVAL,
                        "%s: ends at byte %" PRIu64
                        ", but the model of its header has %" PRIu64 " bytes",
                        path, s->file.size, at);
    if (s->file.size > at)
        return m2c_fail(err, -EINVAL,
                        "%s: offset %" PRIu64
                        ": the model of the header ends here, but the "
                        "file has %" PRIu64 " bytes",
                        path, at, s->file.size);
    return 0;
}

static int read_header(struct m2c_import *im, const char *path, struct m2c_err *err)
{
    struct llama2c *s = im->priv;
    uint8_t h[V1_HEADER] = {0};
    size_t n = (size_t)M2C_MIN(s->file.size, sizeof h);
    int rc = m2c_import_file_read(&s->file, 0, h, n, err);
    if (rc)
        return rc;
    bool has_magic = n >= sizeof magic && memcmp(h, magic, sizeof magic) == 0;
    if (n < (has_magic ? V1_HEADER : V0_HEADER))
        return m2c_fail(err, -EINVAL, "%s: ends at byte %zu, inside the header", path, n);
    if (!has_magic)
        return read_config(im, h, 0, path, err);
    int32_t version = le32(h + 4);
    if (version != 1 && version != 2)
        return m2c_fail(err, -EINVAL, "%s: offset 4: version %d, expected 1 or 2", path,
                        (int)version);
    s->version = (uint32_t)version;
    int32_t group = version == 2 ? le32(h + GROUP_AT) : 1;
    if (group < 1)
        return m2c_fail(err, -EINVAL, "%s: offset %d: group is %d, expected at least 1",
                        path, GROUP_AT, (int)group);
    s->group = (uint32_t)group;
    return read_config(im, h, 8, path, err);
}

static int llama2c_open(struct m2c_import *im, const char *path, struct m2c_err *err)
{
    static const char *const tokenizers[] = {"tokenizer.bin", "tokenizer.model", NULL};
    struct llama2c *s = im->priv;
    int rc = m2c_import_file_open(&s->file, path, err);
    if (rc == 0)
        rc = read_header(im, path, err);
    if (rc == 0)
        rc = place(im, path, err);
    if (rc)
        return rc;
    m2c_import_name(&im->cfg, path);
    char *dir = m2c_import_dirname(path);
    im->tokenizer = dir ? m2c_import_beside(dir, tokenizers) : NULL;
    free(dir);
    return 0;
}

static void llama2c_close(struct m2c_import *im)
{
    struct llama2c *s = im->priv;
    m2c_import_file_close(&s->file);
}

static void find(const struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer,
                 struct m2c_source *out)
{
    const struct llama2c *s = im->priv;
    uint32_t rows, cols;
    *out = (struct m2c_source){.file = &s->file, .enc = M2C_ENC_F32, .group = 1};
    out->offset = s->kind[kind].offset + layer * s->kind[kind].stride;
    if (s->version == 2 && !m2c_tensor_kind_is_norm(kind)) {
        m2c_tensor_shape(&im->cfg, kind, &rows, &cols);
        out->enc = M2C_ENC_Q80;
        out->group = s->group;
        out->scales = out->offset + (uint64_t)rows * cols;
    }
}

const struct m2c_import_ops m2c_import_llama2c = {
    .p = {.name = "llama2c",
          .desc = "llama2.c .bin files, version 0 to 2",
          .priv_size = sizeof(struct llama2c)},
    .sniff = sniff,
    .open = llama2c_open,
    .close = llama2c_close,
    .find = find,
};
