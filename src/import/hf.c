/* SPDX-License-Identifier: MIT */
/* Hugging Face folders: config.json and safetensors, in one file or in shards
 * with an index. Every tensor in the files is either one that the model
 * needs, or known to be without effect, or an error: a bias that is silently
 * left out would be a wrong model. */
#include "import/hf_impl.h"
#include "import/safetensors_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Shards stay open; every one is a file descriptor. */
enum { MAX_SHARDS = 512, MAX_INDEX = 16 << 20, MAX_NAME = 96 };

static const char *const names[M2C_N_TENSOR_KINDS] = {
    [M2C_T_EMBED] = "model.embed_tokens.weight",
    [M2C_T_HEAD] = "lm_head.weight",
    [M2C_T_FINAL_NORM] = "model.norm.weight",
    [M2C_T_ATTN_NORM] = "input_layernorm.weight",
    [M2C_T_WQ] = "self_attn.q_proj.weight",
    [M2C_T_WK] = "self_attn.k_proj.weight",
    [M2C_T_WV] = "self_attn.v_proj.weight",
    [M2C_T_WO] = "self_attn.o_proj.weight",
    [M2C_T_FFN_NORM] = "post_attention_layernorm.weight",
    [M2C_T_GATE] = "mlp.gate_proj.weight",
    [M2C_T_UP] = "mlp.up_proj.weight",
    [M2C_T_DOWN] = "mlp.down_proj.weight",
};

struct hf {
    char *weights; /* path of the index or of the one file, for messages */
    size_t n_shards;
    struct m2c_st *shards;
    struct m2c_source *src; /* [kind + layer · M2C_N_TENSOR_KINDS] */
};

static bool sniff(const struct m2c_import_probe *p)
{
    size_t n = strlen(p->path);
    return p->is_dir || (n >= 5 && strcmp(p->path + n - 5, ".json") == 0);
}

static void tensor_name(enum m2c_tensor_kind kind, uint32_t layer, char out[MAX_NAME])
{
    if (m2c_tensor_kind_per_layer(kind))
        snprintf(out, MAX_NAME, "model.layers.%u.%s", (unsigned)layer, names[kind]);
    else
        snprintf(out, MAX_NAME, "%s", names[kind]);
}

static int wrong_shape(const struct m2c_st *st, const struct m2c_st_tensor *t,
                       const uint64_t *shape, uint32_t n_dims, struct m2c_err *err)
{
    char have[128] = "", want[64] = "";
    for (uint32_t i = 0; i < t->n_dims; i++) {
        size_t used = strlen(have);
        snprintf(have + used, sizeof have - used, "%s%" PRIu64, i ? ", " : "",
                 t->shape[i]);
    }
    for (uint32_t i = 0; i < n_dims; i++) {
        size_t used = strlen(want);
        snprintf(want + used, sizeof want - used, "%s%" PRIu64, i ? ", " : "", shape[i]);
    }
    return m2c_fail(err, -EINVAL,
                    "%s: tensor '%s' has the shape [%s], config.json implies [%s]",
                    st->file.path, t->name, have, want);
}

static int take(struct hf *s, const struct m2c_model_cfg *cfg, enum m2c_tensor_kind kind,
                uint32_t layer, struct m2c_err *err)
{
    char name[MAX_NAME];
    uint32_t rows, cols;
    if (!m2c_tensor_shape(cfg, kind, &rows, &cols))
        return 0;
    tensor_name(kind, layer, name);
    struct m2c_st_tensor *t = NULL;
    struct m2c_st *st = s->shards;
    for (size_t i = 0; !t && i < s->n_shards; i++) {
        st = &s->shards[i];
        t = m2c_st_find(st, name);
    }
    if (!t)
        return m2c_fail(err, -EINVAL, "%s: no tensor '%s'", s->weights, name);
    bool vector = m2c_tensor_kind_is_norm(kind);
    const uint64_t shape[2] = {vector ? cols : rows, cols};
    uint32_t n_dims = vector ? 1 : 2;
    if (t->n_dims != n_dims || memcmp(t->shape, shape, n_dims * sizeof *shape) != 0)
        return wrong_shape(st, t, shape, n_dims, err);
    struct m2c_source *src = &s->src[kind + (size_t)layer * M2C_N_TENSOR_KINDS];
    *src = (struct m2c_source){.file = &st->file, .offset = t->offset, .group = 1};
    if (strcmp(t->dtype, "F32") == 0)
        src->enc = M2C_ENC_F32;
    else if (strcmp(t->dtype, "F16") == 0)
        src->enc = M2C_ENC_F16;
    else if (strcmp(t->dtype, "BF16") == 0)
        src->enc = M2C_ENC_BF16;
    else
        return m2c_fail(err, -EINVAL,
                        "%s: tensor '%s' has the dtype %s, expected F32, F16 or BF16",
                        st->file.path, name, t->dtype);
    t->used = true;
    return 0;
}

static bool harmless(const struct m2c_model_cfg *cfg, const char *name)
{
    static const char tail[] = ".rotary_emb.inv_freq"; /* follows from rope_theta */
    size_t n = strlen(name), k = sizeof tail - 1;
    if (cfg->tied_head && strcmp(name, names[M2C_T_HEAD]) == 0)
        return true; /* transformers puts the embedding in its place */
    return n > k && strcmp(name + n - k, tail) == 0;
}

static int take_all(struct hf *s, const struct m2c_model_cfg *cfg, struct m2c_err *err)
{
    s->src = calloc((size_t)cfg->layers * M2C_N_TENSOR_KINDS, sizeof *s->src);
    if (!s->src)
        return m2c_fail(err, -ENOMEM, "%s: no memory", s->weights);
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        uint32_t layers = m2c_tensor_kind_per_layer(kind) ? cfg->layers : 1;
        for (uint32_t l = 0; l < layers; l++) {
            int rc = take(s, cfg, kind, l, err);
            if (rc)
                return rc;
        }
    }
    for (size_t i = 0; i < s->n_shards; i++) {
        for (size_t j = 0; j < s->shards[i].n; j++) {
            const struct m2c_st_tensor *t = &s->shards[i].t[j];
            struct m2c_quoted q = m2c_import_quote(t->name);
            if (!t->used && !harmless(cfg, t->name))
                return m2c_fail(err, -EINVAL,
                                "%s: tensor '%s' has no place in a Llama model",
                                s->shards[i].file.path, q.s);
        }
    }
    return 0;
}

/* The shard with this file name, opened at its first mention. */
static int get_shard(struct hf *s, const char *dir, const char *file, struct m2c_st **out,
                     struct m2c_err *err)
{
    struct m2c_quoted q = m2c_import_quote(file);
    *out = NULL;
    if (!file[0] || strchr(file, '/') || strcmp(file, "..") == 0)
        return m2c_fail(err, -EINVAL,
                        "%s: weight_map: '%s' is not the name of a file here", s->weights,
                        q.s);
    for (size_t i = 0; i < s->n_shards; i++) {
        const char *base = strrchr(s->shards[i].file.path, '/');
        if (strcmp(base ? base + 1 : s->shards[i].file.path, file) == 0) {
            *out = &s->shards[i];
            return 0;
        }
    }
    if (s->n_shards == MAX_SHARDS)
        return m2c_fail(err, -EINVAL, "%s: weight_map: more than %d shards", s->weights,
                        MAX_SHARDS);
    char *path = m2c_import_join(dir, file);
    if (!path)
        return m2c_fail(err, -ENOMEM, "%s: no memory", s->weights);
    *out = &s->shards[s->n_shards];
    int rc = m2c_st_open(*out, path, err);
    if (rc)
        m2c_st_close(*out);
    else
        s->n_shards++;
    free(path);
    return rc;
}

static int read_index(struct hf *s, const char *dir, const json_t *root,
                      struct m2c_err *err)
{
    const char *name;
    json_t *map = json_object_get(root, "weight_map"), *v;
    size_t n = 0;
    if (!json_is_object(map))
        return m2c_fail(err, -EINVAL, "%s: weight_map: expected an object", s->weights);
    json_object_foreach(map, name, v)
    {
        struct m2c_quoted q = m2c_import_quote(name);
        struct m2c_st *st;
        if (!json_is_string(v))
            return m2c_fail(err, -EINVAL, "%s: weight_map: '%s': expected a file name",
                            s->weights, q.s);
        int rc = get_shard(s, dir, json_string_value(v), &st, err);
        if (rc)
            return rc;
        if (!m2c_st_find(st, name))
            return m2c_fail(err, -EINVAL, "%s: no tensor '%s', which %s places here",
                            st->file.path, q.s, s->weights);
    }
    /* Each listed name is in its shard; equal numbers leave no name that is in
     * another shard as well, or in none of the map. */
    for (size_t i = 0; i < s->n_shards; i++)
        n += s->shards[i].n;
    if (n != json_object_size(map))
        return m2c_fail(err, -EINVAL,
                        "%s: weight_map: %zu tensors, but the shards have %zu",
                        s->weights, json_object_size(map), n);
    return 0;
}

static int open_weights(struct hf *s, const char *dir, struct m2c_err *err)
{
    static const char *const one[] = {"model.safetensors", NULL};
    static const char *const index[] = {"model.safetensors.index.json", NULL};
    static const char *const pickles[] = {"pytorch_model.bin",
                                          "pytorch_model.bin.index.json", NULL};
    s->shards = calloc(MAX_SHARDS, sizeof *s->shards);
    if (!s->shards)
        return m2c_fail(err, -ENOMEM, "%s: no memory", dir);
    if ((s->weights = m2c_import_beside(dir, one))) {
        int rc = m2c_st_open(&s->shards[0], s->weights, err);
        if (rc)
            m2c_st_close(&s->shards[0]);
        else
            s->n_shards = 1;
        return rc;
    }
    if ((s->weights = m2c_import_beside(dir, index))) {
        json_t *root;
        int rc = m2c_import_json(s->weights, MAX_INDEX, &root, err);
        if (rc == 0) {
            rc = read_index(s, dir, root, err);
            json_decref(root);
        }
        return rc;
    }
    char *pickle = m2c_import_beside(dir, pickles);
    int rc = m2c_fail(
        err, -ENOENT, "%s: no model.safetensors and no index of shards%s", dir,
        pickle ? "; PyTorch's .bin is not read, save the model as safetensors" : "");
    free(pickle);
    return rc;
}

static int hf_open(struct m2c_import *im, const char *path, struct m2c_err *err)
{
    static const char *const tokenizers[] = {"tokenizer.model", "tokenizer.json",
                                             "tokenizer.bin", NULL};
    struct hf *s = im->priv;
    size_t n = strlen(path);
    bool is_json = n >= 5 && strcmp(path + n - 5, ".json") == 0;
    char *dir = is_json ? m2c_import_dirname(path) : strdup(path);
    char *config = is_json ? strdup(path) : m2c_import_join(path, "config.json");
    int rc = dir && config ? 0 : m2c_fail(err, -ENOMEM, "%s: no memory", path);
    if (rc == 0)
        rc = m2c_hf_config(config, &im->cfg, err);
    if (rc == 0)
        rc = open_weights(s, dir, err);
    if (rc == 0)
        rc = take_all(s, &im->cfg, err);
    if (rc == 0) {
        m2c_import_name(&im->cfg, dir);
        im->tokenizer = m2c_import_beside(dir, tokenizers);
    }
    free(config);
    free(dir);
    return rc;
}

static void hf_close(struct m2c_import *im)
{
    struct hf *s = im->priv;
    for (size_t i = 0; i < s->n_shards; i++)
        m2c_st_close(&s->shards[i]);
    free(s->shards);
    free(s->src);
    free(s->weights);
}

static void find(const struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer,
                 struct m2c_source *out)
{
    const struct hf *s = im->priv;
    *out = s->src[kind + (size_t)layer * M2C_N_TENSOR_KINDS];
}

const struct m2c_import_ops m2c_import_hf = {
    .p = {.name = "hf",
          .desc = "Hugging Face folders of the Llama family (safetensors)",
          .priv_size = sizeof(struct hf)},
    .sniff = sniff,
    .open = hf_open,
    .close = hf_close,
    .find = find,
};
