/* SPDX-License-Identifier: MIT */
/* The identity of a model, whatever file it comes from or goes to. */
#include "store/write_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct m2c_model_hash {
    struct m2c_hasher *h;
};

static uint32_t bits32(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static uint64_t bits64(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* Floats by their bits: a text form could round. */
static size_t config_text(const struct m2c_model_cfg *c, char *out, size_t size)
{
    int n = snprintf(
        out, size,
        "arch=%s\ndim=%" PRIu32 "\nhidden=%" PRIu32 "\nlayers=%" PRIu32 "\nheads=%" PRIu32
        "\nkv_heads=%" PRIu32 "\nhead_dim=%" PRIu32 "\nvocab=%" PRIu32
        "\nexperts=%" PRIu32 "\ntied_head=%d\nhas_gate=%d\n"
        "act=%s\nact_shift=%08" PRIx32 "\ninput_relu=%d\ninput_relu_shift=%08" PRIx32
        "\nnorm_eps=%08" PRIx32 "\nrope=%s\nrope_theta=%016" PRIx64 "\n",
        c->arch, c->dim, c->hidden, c->layers, c->heads, c->kv_heads, c->head_dim,
        c->vocab, c->experts, c->tied_head, c->has_gate, m2c_act_name(c->act),
        bits32(c->act_shift), c->input_relu, bits32(c->input_relu_shift),
        bits32(c->norm_eps), c->rope == M2C_ROPE_HALF ? "half" : "interleaved",
        bits64(c->rope_theta));
    return n > 0 ? M2C_MIN((size_t)n, size - 1) : 0;
}

int m2c_model_hash_open(struct m2c_model_hash **out, const struct m2c_model_cfg *cfg)
{
    char text[1024];
    struct m2c_model_hash *h = calloc(1, sizeof *h);
    if (!h || m2c_hasher_open(&h->h)) {
        free(h);
        return -ENOMEM;
    }
    m2c_hasher_add(h->h, text, config_text(cfg, text, sizeof text));
    *out = h;
    return 0;
}

void m2c_model_hash_close(struct m2c_model_hash *h)
{
    if (!h)
        return;
    m2c_hasher_close(h->h);
    free(h);
}

void m2c_model_hash_tensor(struct m2c_model_hash *h, struct m2c_hash128 tensor)
{
    const uint64_t words[2] = {tensor.hi, tensor.lo};
    m2c_hasher_add(h->h, words, sizeof words);
}

struct m2c_hash128 m2c_model_hash_end(const struct m2c_model_hash *h)
{
    return m2c_hasher_end(h->h);
}

int m2c_identity_order(const struct m2c_model_cfg *cfg, struct m2c_hash128 *out)
{
    struct m2c_hasher *h;
    if (m2c_hasher_open(&h))
        return -ENOMEM;
    uint32_t ids[1024];
    uint64_t blocks = (uint64_t)cfg->layers * cfg->experts;
    for (uint64_t b = 0; b < blocks; b++) {
        for (uint32_t at = 0; at < cfg->hidden;) {
            uint32_t n = M2C_MIN((uint32_t)M2C_COUNTOF(ids), cfg->hidden - at);
            for (uint32_t i = 0; i < n; i++)
                ids[i] = at + i;
            m2c_hasher_add(h, ids, n * sizeof ids[0]);
            at += n;
        }
    }
    *out = m2c_hasher_end(h);
    m2c_hasher_close(h);
    return 0;
}

int m2c_order_hash(const struct m2c_model_cfg *cfg, const uint32_t *order,
                   struct m2c_hash128 before, struct m2c_hash128 *out)
{
    struct m2c_hash128 identity;
    struct m2c_hasher *h;
    if (m2c_identity_order(cfg, &identity) || m2c_hasher_open(&h))
        return -ENOMEM;
    const uint64_t words[2] = {before.hi, before.lo};
    if (!m2c_hash_equal(before, identity))
        m2c_hasher_add(h, words, sizeof words);
    m2c_hasher_add(h, order, sizeof *order * cfg->layers * cfg->hidden);
    *out = m2c_hasher_end(h);
    m2c_hasher_close(h);
    return 0;
}
