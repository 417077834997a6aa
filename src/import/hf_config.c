/* SPDX-License-Identifier: MIT */
/* config.json of the Llama family, as transformers 4 and 5 write it.
 *
 * Absent keys have the defaults of transformers' LlamaConfig (for Mistral
 * those of MistralConfig); a key with the value null is absent. */
#include "import/hf_impl.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { MAX_CONFIG = 4 << 20 };

struct reader {
    const char *path;
    const json_t *root;
    bool mistral;
    struct m2c_err *err;
};

/* NULL when absent or null. */
static const json_t *get(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_null(v) ? NULL : v;
}

static int fault(const struct reader *r, const char *key, const char *what)
{
    return m2c_fail(r->err, -EINVAL, "%s: %s: %s", r->path, key, what);
}

static int get_u32(const struct reader *r, const char *key, int64_t def, uint32_t *out)
{
    const json_t *v = get(r->root, key);
    int64_t x = v ? json_integer_value(v) : def;
    if (!v && def < 0)
        return fault(r, key, "this key is missing");
    if (v && (!json_is_integer(v) || x < 1 || x > INT32_MAX))
        return fault(r, key, "expected an integer of at least 1");
    *out = (uint32_t)x;
    return 0;
}

static int get_number(const struct reader *r, const json_t *object, const char *key,
                      double def, double *out)
{
    const json_t *v = get(object, key);
    *out = v ? json_number_value(v) : def; /* 0 for what is no number */
    return !v || json_is_number(v) ? 0 : fault(r, key, "expected a number");
}

static int get_bool(const struct reader *r, const char *key, bool def, bool *out)
{
    const json_t *v = get(r->root, key);
    *out = v ? json_is_true(v) : def;
    return !v || json_is_boolean(v) ? 0 : fault(r, key, "expected true or false");
}

/* An id, null, or a list of ids, of which the first counts. */
static int get_token(const struct reader *r, const char *key, int32_t def, int32_t *out)
{
    const json_t *v = json_object_get(r->root, key);
    if (!v) {
        *out = def;
        return 0;
    }
    if (json_is_array(v))
        v = json_array_get(v, 0);
    *out = -1;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < -1 ||
        json_integer_value(v) > INT32_MAX)
        return fault(r, key, "expected a token id, a list of them, or null");
    *out = (int32_t)json_integer_value(v);
    return 0;
}

static int check_type(struct reader *r)
{
    static const struct {
        const char *type, *why;
    } near[] = {
        {"qwen2", "its attention has biases"},
        {"qwen3", "its attention norms queries and keys"},
        {"mixtral", "it is a mixture of experts"},
        {"gemma", "its norms and embeddings are scaled"},
        {"gemma2", "its norms and embeddings are scaled"},
        {"phi3", "its projections are fused"},
    };
    const char *type = json_string_value(get(r->root, "model_type"));
    const char *arch =
        json_string_value(json_array_get(get(r->root, "architectures"), 0));
    if (!type && !arch)
        return fault(r, "model_type", "this key is missing");
    for (size_t i = 0; type && i < M2C_COUNTOF(near); i++)
        if (strcmp(type, near[i].type) == 0)
            return m2c_fail(r->err, -EINVAL, "%s: model_type: '%s' is not supported: %s",
                            r->path, type, near[i].why);
    r->mistral =
        type ? strcmp(type, "mistral") == 0 : strcmp(arch, "MistralForCausalLM") == 0;
    if (type && !r->mistral && strcmp(type, "llama") != 0) {
        struct m2c_quoted q = m2c_import_quote(type);
        return m2c_fail(r->err, -EINVAL,
                        "%s: model_type: '%s' is not supported (have: llama, mistral)",
                        r->path, q.s);
    }
    const char *want = r->mistral ? "MistralForCausalLM" : "LlamaForCausalLM";
    if (arch && strcmp(arch, want) != 0) {
        struct m2c_quoted q = m2c_import_quote(arch);
        return m2c_fail(r->err, -EINVAL, "%s: architectures: '%s', expected '%s'",
                        r->path, q.s, want);
    }
    return 0;
}

static int check_features(const struct reader *r)
{
    static const char *const biases[] = {"attention_bias", "mlp_bias"};
    bool on;
    double factor;
    int rc;
    for (size_t i = 0; i < M2C_COUNTOF(biases); i++) {
        if ((rc = get_bool(r, biases[i], false, &on)))
            return rc;
        if (on)
            return fault(r, biases[i], "true, but biases are not supported");
    }
    if (get(r->root, "quantization_config"))
        return fault(r, "quantization_config",
                     "quantised weights are not read; give the original model");
    rc = get_number(r, r->root, "partial_rotary_factor", 1, &factor);
    if (rc == 0 && factor != 1)
        return fault(r, "partial_rotary_factor", "only 1 is supported");
    return rc;
}

static int read_sizes(const struct reader *r, struct m2c_model_cfg *c)
{
    int rc = get_u32(r, "hidden_size", -1, &c->dim);
    if (rc == 0)
        rc = get_u32(r, "intermediate_size", -1, &c->hidden);
    if (rc == 0)
        rc = get_u32(r, "num_hidden_layers", -1, &c->layers);
    if (rc == 0)
        rc = get_u32(r, "num_attention_heads", -1, &c->heads);
    if (rc == 0)
        rc = get_u32(r, "num_key_value_heads", r->mistral ? 8 : c->heads, &c->kv_heads);
    if (rc == 0)
        rc = get_u32(r, "head_dim", c->dim / c->heads, &c->head_dim);
    if (rc == 0)
        rc = get_u32(r, "vocab_size", -1, &c->vocab);
    if (rc == 0)
        rc =
            get_u32(r, "max_position_embeddings", r->mistral ? 4096 * 32 : 2048, &c->ctx);
    if (rc == 0 && !get(r->root, "head_dim") && c->dim % c->heads)
        return fault(r, "num_attention_heads",
                     "does not divide hidden_size, and there "
                     "is no head_dim");
    return rc;
}

/* A window that never closes inside the context changes nothing. */
static int check_window(const struct reader *r, const struct m2c_model_cfg *c)
{
    const json_t *v = json_object_get(r->root, "sliding_window");
    if (!v ? !r->mistral : json_is_null(v))
        return 0;
    int64_t window = v ? json_integer_value(v) : 4096; /* MistralConfig's default */
    if (v && (!json_is_integer(v) || window < 1))
        return fault(r, "sliding_window", "expected null or an integer of at least 1");
    if (window >= c->ctx)
        return 0;
    return m2c_fail(r->err, -EINVAL,
                    "%s: sliding_window: %lld tokens, shorter than the context of %u; "
                    "windowed attention is not supported",
                    r->path, (long long)window, (unsigned)c->ctx);
}

static int check_rope_type(const struct reader *r, const char *key, const json_t *v)
{
    if (!json_is_object(v))
        return fault(r, key, "expected an object or null");
    const json_t *type = get(v, "rope_type");
    double factor;
    if (!type)
        type = get(v, "type");
    if (type &&
        strcmp(json_is_string(type) ? json_string_value(type) : "", "default") != 0) {
        struct m2c_quoted q =
            m2c_import_quote(json_is_string(type) ? json_string_value(type) : "?");
        return m2c_fail(r->err, -EINVAL,
                        "%s: %s: type '%s' is not supported, only unscaled RoPE is",
                        r->path, key, q.s);
    }
    if (!type && get(v, "factor"))
        return fault(r, key, "scaled RoPE is not supported");
    int rc = get_number(r, v, "partial_rotary_factor", 1, &factor);
    if (rc == 0 && factor != 1)
        return fault(r, key, "partial_rotary_factor: only 1 is supported");
    return rc;
}

/* transformers 4: rope_theta, rope_scaling. 5: rope_parameters with both. */
static int read_rope(const struct reader *r, struct m2c_model_cfg *c)
{
    static const char *const keys[] = {"rope_scaling", "rope_parameters"};
    int rc = get_number(r, r->root, "rope_theta", NAN, &c->rope_theta);
    c->rope = M2C_ROPE_HALF;
    for (size_t i = 0; rc == 0 && i < M2C_COUNTOF(keys); i++) {
        const json_t *v = get(r->root, keys[i]);
        double theta;
        if (!v)
            continue;
        rc = check_rope_type(r, keys[i], v);
        if (rc == 0)
            rc = get_number(r, v, "rope_theta", c->rope_theta, &theta);
        if (rc == 0 && !isnan(c->rope_theta) && theta != c->rope_theta)
            return fault(r, keys[i], "its rope_theta contradicts the one beside it");
        if (rc == 0)
            c->rope_theta = theta;
    }
    if (isnan(c->rope_theta))
        c->rope_theta = 10000;
    return rc;
}

static int read_act(const struct reader *r, struct m2c_model_cfg *c)
{
    static const struct {
        const char *name;
        enum m2c_act act;
    } acts[] = {
        {"silu", M2C_ACT_SILU},     {"swish", M2C_ACT_SILU},
        {"relu", M2C_ACT_RELU},     {"gelu_pytorch_tanh", M2C_ACT_GELU},
        {"gelu_new", M2C_ACT_GELU},
    };
    const json_t *v = get(r->root, "hidden_act");
    const char *name = v ? json_string_value(v) : "silu";
    if (!name)
        return fault(r, "hidden_act", "expected a name");
    for (size_t i = 0; i < M2C_COUNTOF(acts); i++) {
        if (strcmp(acts[i].name, name) == 0) {
            c->act = acts[i].act;
            return 0;
        }
    }
    if (strcmp(name, "gelu") == 0)
        return fault(r, "hidden_act",
                     "'gelu' is the exact (erf) form, only the tanh form "
                     "'gelu_pytorch_tanh' is supported");
    struct m2c_quoted q = m2c_import_quote(name);
    return m2c_fail(r->err, -EINVAL,
                    "%s: hidden_act: '%s' is not supported (have: silu, relu, "
                    "gelu_pytorch_tanh)",
                    r->path, q.s);
}

static int read_root(struct reader *r, struct m2c_model_cfg *c)
{
    double eps;
    strcpy(c->arch, "llama");
    c->experts = 1;
    c->has_gate = true;
    int rc = check_type(r);
    if (rc == 0)
        rc = check_features(r);
    if (rc == 0)
        rc = read_sizes(r, c);
    if (rc == 0)
        rc = check_window(r, c);
    if (rc == 0)
        rc = read_rope(r, c);
    if (rc == 0)
        rc = read_act(r, c);
    if (rc == 0)
        rc = get_number(r, r->root, "rms_norm_eps", 1e-6, &eps);
    if (rc == 0)
        rc = get_bool(r, "tie_word_embeddings", false, &c->tied_head);
    if (rc == 0)
        rc = get_token(r, "bos_token_id", 1, &c->bos);
    if (rc == 0)
        rc = get_token(r, "eos_token_id", 2, &c->eos);
    if (rc)
        return rc;
    if (!(eps >= 0 && eps < 1))
        return fault(r, "rms_norm_eps", "expected a number of at least 0, below 1");
    c->norm_eps = (float)eps;
    rc = m2c_model_cfg_check(c, r->err);
    return rc ? m2c_fail_in(r->err, rc, "%s", r->path) : 0;
}

int m2c_hf_config(const char *path, struct m2c_model_cfg *cfg, struct m2c_err *err)
{
    json_t *root;
    int rc = m2c_import_json(path, MAX_CONFIG, &root, err);
    if (rc)
        return rc;
    struct reader r = {.path = path, .root = root, .err = err};
    rc = read_root(&r, cfg);
    json_decref(root);
    return rc;
}
