/* SPDX-License-Identifier: MIT */
/* m2c info: what a model store holds. Reads its head, not its weights. */
#include "tools/commands.h"

#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

/* Sums over layers; zero where the model has no such tensor. */
struct dense_sum {
    enum m2c_type type;
    uint32_t rows, cols, n;
    uint64_t bytes;
};

static struct dense_sum sum_dense(const struct m2c_store *s, enum m2c_tensor_kind kind)
{
    struct dense_sum sum = {0};
    struct m2c_store_dense d;
    uint32_t layers = m2c_tensor_kind_per_layer(kind) ? m2c_store_cfg(s)->layers : 1;
    for (uint32_t l = 0; l < layers; l++) {
        if (!m2c_store_dense(s, kind, l, &d))
            continue;
        sum.type = d.type;
        sum.rows = d.rows;
        sum.cols = d.cols;
        sum.n++;
        sum.bytes += d.code_bytes + d.scale_bytes;
    }
    return sum;
}

static uint64_t part_bytes(const struct m2c_store *s, uint32_t part)
{
    const struct m2c_model_cfg *c = m2c_store_cfg(s);
    return (uint64_t)m2c_store_record(s, part)->bytes * c->experts * c->hidden * c->layers;
}

static uint64_t file_bytes(const struct m2c_store *s)
{
    struct stat st;
    return stat(m2c_store_path(s), &st) ? 0 : (uint64_t)st.st_size;
}

/* Weights of the model, norms included. */
static uint64_t n_weights(const struct m2c_model_cfg *c)
{
    uint64_t n = 0;
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        uint32_t rows, cols;
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        if (m2c_tensor_shape(c, kind, &rows, &cols))
            n +=
                (uint64_t)rows * cols * (m2c_tensor_kind_per_layer(kind) ? c->layers : 1);
    }
    return n;
}

static void print_model(const struct m2c_store *s)
{
    const struct m2c_model_cfg *c = m2c_store_cfg(s);
    printf("model       %s (%s), %" PRIu64 " weights\n", c->name, c->arch, n_weights(c));
    if (c->synthetic[0])
        printf("synthetic   %s: text and scores of this model mean nothing\n", c->synthetic);
    printf(
        "shape       %u layers, dim %u, %u neurons a layer, %u heads and %u kv heads of "
        "%u,\n            vocabulary %u, context %u, head %s\n",
        c->layers, c->dim, c->hidden, c->heads, c->kv_heads, c->head_dim, c->vocab,
        c->ctx, c->tied_head ? "tied to the embedding" : "of its own");
    printf("numbers     %s%s", m2c_act_name(c->act), c->has_gate ? " with gate" : "");
    if (c->act_shift != 0)
        printf(", shifted by %g", (double)c->act_shift);
    if (c->input_relu)
        printf(", inputs relu(x - %g)", (double)c->input_relu_shift);
    printf(", norm eps %g, %s RoPE of theta %g\n", (double)c->norm_eps,
           c->rope == M2C_ROPE_HALF ? "half-split" : "interleaved", c->rope_theta);
    printf("tokens      BOS %d, EOS %d\n", (int)c->bos, (int)c->eos);
}

static void print_weights(const struct m2c_store *s)
{
    const struct m2c_layout *l = m2c_store_layout(s);
    printf("layout      %s, by %s, quantised by %s\n", l->name,
           m2c_arrange_name(m2c_store_arrange(s)), m2c_store_quant(s));
    for (uint32_t i = 0; i < l->n_classes; i++) {
        printf("  class      %s, %u bits, from part", l->cls[i].name, l->cls[i].bits);
        for (uint32_t p = 0; p < l->n_parts; p++)
            if (l->cls[i].parts >> p & 1)
                printf(" %s", l->part[p].name);
        printf("\n");
    }
    for (uint32_t p = 0; p < l->n_parts; p++)
        printf("  part       %s, %u bytes a neuron, %" PRIu64 " bytes in all\n",
               l->part[p].name, m2c_store_record(s, p)->bytes, part_bytes(s, p));
    printf("dense       %" PRIu64 " bytes\n", m2c_store_dense_bytes(s));
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        struct dense_sum d = sum_dense(s, (enum m2c_tensor_kind)k);
        if (d.n)
            printf("  %-11s%u × %s [%u][%u], %" PRIu64 " bytes\n",
                   m2c_tensor_kind_name((enum m2c_tensor_kind)k), d.n,
                   m2c_type_name(d.type), d.rows, d.cols, d.bytes);
    }
}

static void print_text(const struct m2c_store *s)
{
    const char *kind;
    const void *bytes;
    size_t n;
    char hex[33];
    print_model(s);
    print_weights(s);
    if (m2c_store_tokenizer(s, &kind, &bytes, &n))
        printf("tokenizer   %s, %zu bytes\n", kind, n);
    else
        printf("tokenizer   none\n");
    m2c_hash_hex(m2c_store_model_hash(s), hex);
    printf("model hash  %s\n", hex);
    m2c_hash_hex(m2c_store_order_hash(s), hex);
    printf("order hash  %s\n", hex);
    printf("file        %" PRIu64 " bytes\n", file_bytes(s));
}

static json_t *json_model(const struct m2c_model_cfg *c)
{
    return json_pack(
        "{s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:s, "
        "s:f, "
        "s:b, s:f, s:f, s:s, s:f, s:i, s:i}",
        "name", c->name, "arch", c->arch, "synthetic", c->synthetic, "weights", (json_int_t)n_weights(c), "dim",
        (int)c->dim, "hidden", (int)c->hidden, "layers", (int)c->layers, "heads",
        (int)c->heads, "kv_heads", (int)c->kv_heads, "head_dim", (int)c->head_dim,
        "vocab", (int)c->vocab, "ctx", (int)c->ctx, "experts", (int)c->experts,
        "tied_head", c->tied_head, "has_gate", c->has_gate, "act", m2c_act_name(c->act),
        "act_shift", (double)c->act_shift, "input_relu", c->input_relu,
        "input_relu_shift", (double)c->input_relu_shift, "norm_eps", (double)c->norm_eps,
        "rope", c->rope == M2C_ROPE_HALF ? "half" : "interleaved", "rope_theta",
        c->rope_theta, "bos", (int)c->bos, "eos", (int)c->eos);
}

static json_t *json_layout(const struct m2c_store *s)
{
    const struct m2c_layout *l = m2c_store_layout(s);
    json_t *classes = json_array(), *parts = json_array();
    for (uint32_t i = 0; i < l->n_classes; i++) {
        json_t *names = json_array();
        for (uint32_t p = 0; p < l->n_parts; p++)
            if (l->cls[i].parts >> p & 1)
                json_array_append_new(names, json_string(l->part[p].name));
        json_array_append_new(classes,
                              json_pack("{s:s, s:i, s:s, s:o}", "name", l->cls[i].name,
                                        "bits", (int)l->cls[i].bits, "type",
                                        m2c_type_name(l->cls[i].type), "parts", names));
    }
    for (uint32_t p = 0; p < l->n_parts; p++)
        json_array_append_new(
            parts, json_pack("{s:s, s:s, s:I, s:I}", "name", l->part[p].name, "type",
                             m2c_type_name(l->part[p].type), "record_bytes",
                             (json_int_t)m2c_store_record(s, p)->bytes, "bytes",
                             (json_int_t)part_bytes(s, p)));
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", l->name, "arrange",
                     m2c_arrange_name(m2c_store_arrange(s)), "quant", m2c_store_quant(s),
                     "classes", classes, "parts", parts);
}

static json_t *json_dense(const struct m2c_store *s)
{
    json_t *list = json_array();
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        struct dense_sum d = sum_dense(s, (enum m2c_tensor_kind)k);
        if (d.n)
            json_array_append_new(
                list,
                json_pack("{s:s, s:i, s:s, s:i, s:i, s:I}", "name",
                          m2c_tensor_kind_name((enum m2c_tensor_kind)k), "tensors",
                          (int)d.n, "type", m2c_type_name(d.type), "rows", (int)d.rows,
                          "cols", (int)d.cols, "bytes", (json_int_t)d.bytes));
    }
    return list;
}

static int print_json(const struct m2c_store *s)
{
    const char *kind;
    const void *bytes;
    size_t n;
    char model[33], order[33];
    m2c_hash_hex(m2c_store_model_hash(s), model);
    m2c_hash_hex(m2c_store_order_hash(s), order);
    json_t *tok = m2c_store_tokenizer(s, &kind, &bytes, &n)
                      ? json_pack("{s:s, s:I}", "kind", kind, "bytes", (json_int_t)n)
                      : json_null();
    return m2c_cli_json(
        json_pack("{s:s, s:I, s:o, s:o, s:I, s:o, s:o, s:s, s:s}", "file",
                  m2c_store_path(s), "bytes", (json_int_t)file_bytes(s), "model",
                  json_model(m2c_store_cfg(s)), "layout", json_layout(s), "dense_bytes",
                  (json_int_t)m2c_store_dense_bytes(s), "dense", json_dense(s),
                  "tokenizer", tok, "model_hash", model, "order_hash", order));
}

int m2c_cmd_info(int argc, char **argv)
{
    bool json = false;
    const struct m2c_flag flags[] = {
        {"--json", 0, M2C_FLAG_ON, &json, .help = "one JSON object"},
    };
    const struct m2c_cli cli = {
        .name = "m2c info",
        .args = "FILE",
        .brief =
            "Shows what a model store holds: model, precision classes, sizes, hashes",
        .flags = flags,
        .n_flags = M2C_COUNTOF(flags),
        .min_args = 1,
        .max_args = 1,
    };
    const char *path;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &path, NULL, &code))
        return code;
    struct m2c_err err = {0};
    struct m2c_store *store = NULL;
    if (m2c_store_open(&store, path, &err))
        return m2c_cli_fail(&err);
    code = M2C_EXIT_OK;
    if (json)
        code = print_json(store);
    else
        print_text(store);
    m2c_store_close(store);
    return code;
}
