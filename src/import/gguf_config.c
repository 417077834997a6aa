/* SPDX-License-Identifier: MIT */
/* The keys of a GGUF file of the architecture `llama`, as llama.cpp writes and
 * reads them (src/llama-arch.cpp, src/llama-model.cpp).
 *
 * convert_hf_to_gguf.py reorders the rows of this architecture's query and key
 * matrices, so that RoPE turns neighbours: the style is INTERLEAVED and nothing
 * has to be put back. */
#include "import/gguf_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int check_arch(const struct m2c_gguf *g, struct m2c_err *err)
{
    static const struct {
        const char *arch, *why;
    } near[] = {
        {"qwen2", "its attention has biases"},
        {"qwen3", "its attention norms queries and keys"},
        {"gemma", "its norms and embeddings are scaled"},
        {"gemma2", "its norms and embeddings are scaled"},
        {"phi3", "its projections are fused"},
        {"falcon", "it has layer norms and parallel attention"},
        {"opt", "it has layer norms and learned positions"},
    };
    char *arch = NULL;
    int rc = m2c_gguf_string(g, "general.architecture", &arch, err);
    if (rc == 0)
        return m2c_fail(err, -EINVAL, "no key 'general.architecture'");
    if (rc < 0)
        return rc;
    rc = 0;
    for (size_t i = 0; i < M2C_COUNTOF(near) && rc == 0; i++)
        if (strcmp(arch, near[i].arch) == 0)
            rc = m2c_fail(err, -EINVAL, "general.architecture: '%s' is not supported: %s",
                          arch, near[i].why);
    if (rc == 0 && strcmp(arch, "llama") != 0) {
        struct m2c_quoted q = m2c_import_quote(arch);
        rc = m2c_fail(err, -EINVAL,
                      "general.architecture: '%s' is not supported (have: llama)", q.s);
    }
    free(arch);
    return rc;
}

/* Keys that change nothing, or are checked below. */
static bool is_known(const char *key)
{
    static const char *const known[] = {"block_count",
                                        "context_length",
                                        "embedding_length",
                                        "feed_forward_length",
                                        "vocab_size",
                                        "tensor_data_layout",
                                        "attention.head_count",
                                        "attention.head_count_kv",
                                        "attention.key_length",
                                        "attention.value_length",
                                        "attention.layer_norm_rms_epsilon",
                                        "attention.causal",
                                        "rope.dimension_count",
                                        "rope.freq_base",
                                        "rope.scale_linear",
                                        "rope.scaling.type",
                                        "rope.scaling.factor",
                                        "rope.scaling.original_context_length",
                                        "rope.scaling.finetuned",
                                        "expert_count",
                                        "expert_used_count",
                                        "use_parallel_residual",
                                        NULL};
    for (size_t i = 0; known[i]; i++)
        if (strcmp(key, known[i]) == 0)
            return true;
    return false;
}

static int check_keys(const struct m2c_gguf *g, struct m2c_err *err)
{
    static const char arch[] = "llama.";
    for (size_t i = 0; i < g->n_kv; i++) {
        const char *key = g->kv[i].key;
        struct m2c_quoted q = m2c_import_quote(key);
        if (strncmp(key, arch, sizeof arch - 1) == 0 && !is_known(key + sizeof arch - 1))
            return m2c_fail(err, -EINVAL,
                            "offset %llu: %s: this key is not known and may change the "
                            "numbers",
                            (unsigned long long)g->kv[i].at, q.s);
    }
    return 0;
}

static int get_u32(const struct m2c_gguf *g, const char *key, int64_t def, uint32_t *out,
                   struct m2c_err *err)
{
    uint64_t x = (uint64_t)def;
    int rc = m2c_gguf_uint(g, key, INT32_MAX, &x, err);
    if (rc < 0)
        return rc;
    if (rc == 0 && def < 0)
        return m2c_fail(err, -EINVAL, "no key '%s'", key);
    if (x < 1)
        return m2c_fail(err, -EINVAL, "%s is 0, expected at least 1", key);
    *out = (uint32_t)x;
    return 0;
}

static int read_sizes(const struct m2c_gguf *g, struct m2c_model_cfg *c,
                      struct m2c_err *err)
{
    const struct {
        const char *key;
        uint32_t *out;
    } sizes[] = {
        {"llama.embedding_length", &c->dim},
        {"llama.feed_forward_length", &c->hidden},
        {"llama.block_count", &c->layers},
        {"llama.context_length", &c->ctx},
        {"llama.attention.head_count", &c->heads},
    };
    uint32_t value_length = 0, rotated = 0;
    int rc = 0;
    for (size_t i = 0; i < M2C_COUNTOF(sizes) && rc == 0; i++)
        rc = get_u32(g, sizes[i].key, -1, sizes[i].out, err);
    if (rc == 0)
        rc = get_u32(g, "llama.attention.head_count_kv", c->heads, &c->kv_heads, err);
    if (rc)
        return rc;
    if (!m2c_gguf_find(g, "llama.attention.key_length") && c->dim % c->heads)
        return m2c_fail(err, -EINVAL,
                        "llama.attention.head_count %u does not divide "
                        "llama.embedding_length %u, and there is no "
                        "llama.attention.key_length",
                        c->heads, c->dim);
    /* a head of more than one number, so that the default is none of 0 */
    uint32_t own = M2C_MAX(c->dim / c->heads, 1u);
    rc = get_u32(g, "llama.attention.key_length", own, &c->head_dim, err);
    if (rc == 0)
        rc = get_u32(g, "llama.attention.value_length", own, &value_length, err);
    if (rc == 0 && value_length != c->head_dim)
        rc = m2c_fail(err, -EINVAL,
                      "llama.attention.value_length: %u, but keys have %u; only equal "
                      "ones are supported",
                      value_length, c->head_dim);
    if (rc == 0)
        rc = get_u32(g, "llama.rope.dimension_count", c->head_dim, &rotated, err);
    if (rc == 0 && rotated != c->head_dim)
        rc = m2c_fail(err, -EINVAL,
                      "llama.rope.dimension_count: %u of %u; only whole heads are "
                      "supported",
                      rotated, c->head_dim);
    return rc;
}

/* A number that must be what an absent key means. */
static int must_be(const struct m2c_gguf *g, const char *key, double want,
                   const char *why, struct m2c_err *err)
{
    double x = want;
    int rc = m2c_gguf_float(g, key, &x, err);
    return rc < 0 || x == want ? M2C_MIN(rc, 0)
                               : m2c_fail(err, -EINVAL, "%s is %g: %s", key, x, why);
}

static int check_rope(const struct m2c_gguf *g, struct m2c_err *err)
{
    static const char scaled[] = "scaled RoPE is not supported";
    char *type = NULL;
    int rc = m2c_gguf_string(g, "llama.rope.scaling.type", &type, err);
    if (rc < 0)
        return rc;
    bool none = rc == 0 || strcmp(type, "none") == 0;
    if (!none) {
        struct m2c_quoted q = m2c_import_quote(type);
        rc = m2c_fail(err, -EINVAL, "llama.rope.scaling.type: '%s': %s", q.s, scaled);
        free(type);
        return rc;
    }
    bool named = rc == 1; /* "none" makes a factor idle */
    free(type);
    rc = must_be(g, "llama.rope.scale_linear", 1, scaled, err);
    if (rc == 0 && !named)
        rc = must_be(g, "llama.rope.scaling.factor", 1, scaled, err);
    return rc;
}

static int check_features(const struct m2c_gguf *g, struct m2c_err *err)
{
    bool causal = true, parallel = false;
    uint64_t experts = 0, parts = 0, part = 0;
    int rc = m2c_gguf_uint(g, "split.count", UINT32_MAX, &parts, err);
    if (rc >= 0)
        rc = m2c_gguf_uint(g, "split.no", UINT32_MAX, &part, err);
    if (rc >= 0 && parts > 1)
        return m2c_fail(
            err, -EINVAL,
            "split.count: part %llu of %llu; join them first (llama-gguf-split "
            "--merge)",
            (unsigned long long)part + 1, (unsigned long long)parts);
    if (rc >= 0)
        rc = m2c_gguf_uint(g, "llama.expert_count", UINT32_MAX, &experts, err);
    if (rc >= 0 && experts > 0)
        return m2c_fail(err, -EINVAL,
                        "llama.expert_count: %llu; mixtures of experts are not supported",
                        (unsigned long long)experts);
    if (rc >= 0)
        rc = m2c_gguf_bool(g, "llama.attention.causal", &causal, err);
    if (rc >= 0)
        rc = m2c_gguf_bool(g, "llama.use_parallel_residual", &parallel, err);
    if (rc >= 0 && (!causal || parallel))
        return m2c_fail(err, -EINVAL, "%s is not supported",
                        causal ? "llama.use_parallel_residual: true"
                               : "llama.attention.causal: false");
    return rc < 0 ? rc : check_rope(g, err);
}

static int get_token(const struct m2c_gguf *g, const char *key, int32_t *out,
                     struct m2c_err *err)
{
    uint64_t id = 0;
    /* llama.cpp's "none" is all ones */
    int rc = m2c_gguf_uint(g, key, UINT32_MAX, &id, err);
    *out = rc == 1 && id <= INT32_MAX ? (int32_t)id : -1;
    return rc < 0 ? rc : 0;
}

int m2c_gguf_config(const struct m2c_gguf *g, struct m2c_model_cfg *c,
                    struct m2c_err *err)
{
    double eps;
    strcpy(c->arch, "llama");
    c->experts = 1;
    c->has_gate = true;
    c->act = M2C_ACT_SILU;
    c->rope = M2C_ROPE_INTERLEAVED;
    c->rope_theta = 10000;
    int rc = check_arch(g, err);
    if (rc == 0)
        rc = check_keys(g, err);
    if (rc == 0)
        rc = check_features(g, err);
    if (rc == 0)
        rc = read_sizes(g, c, err);
    if (rc < 0)
        return rc;
    rc = m2c_gguf_float(g, "llama.attention.layer_norm_rms_epsilon", &eps, err);
    if (rc == 0)
        return m2c_fail(err, -EINVAL, "no key 'llama.attention.layer_norm_rms_epsilon'");
    if (rc == 1 && !(eps >= 0 && eps < 1))
        return m2c_fail(err, -EINVAL,
                        "llama.attention.layer_norm_rms_epsilon is %g, expected 0 to 1",
                        eps);
    if (rc == 1)
        rc = m2c_gguf_float(g, "llama.rope.freq_base", &c->rope_theta, err);
    if (rc < 0)
        return rc;
    c->norm_eps = (float)eps;
    rc = get_token(g, "tokenizer.ggml.bos_token_id", &c->bos, err);
    return rc < 0 ? rc : get_token(g, "tokenizer.ggml.eos_token_id", &c->eos, err);
}
