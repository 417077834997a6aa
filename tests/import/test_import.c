/* SPDX-License-Identifier: MIT */
/* The calls around the importers: registry, options, bounds, files that
 * change under the reader, and memory that runs out. The numbers are checked
 * by the Python tests beside this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "import/import_impl.h"

/* ---- allocations that fail on request (linked with --wrap) ---- */

static long fail_at = -1; /* the how-manieth allocation from now fails */

static bool fails(void)
{
    return fail_at >= 0 && fail_at-- == 0;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}
char *__real_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : __real_strndup(s, n);
}

/* ---- models on disk ---- */

enum { DIM = 4, HIDDEN = 6, VOCAB = 5 };
static char folder[] = "/tmp/m2c-import-XXXXXX";
static char bin_path[64], hf_path[64];

static void put(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Version 0, one layer, weights 0, 1, 2 … in file order. */
static void put_bin(const char *path)
{
    enum { N = VOCAB * DIM + 3 * DIM + 4 * DIM * DIM + 3 * DIM * HIDDEN + 2 * 2 };
    uint8_t data[28 + 4 * N];
    const int32_t head[7] = {DIM, HIDDEN, 1, 2, 2, VOCAB, 2};
    memcpy(data, head, sizeof head);
    for (int i = 0; i < N; i++) {
        float x = (float)i;
        memcpy(data + 28 + 4 * i, &x, sizeof x);
    }
    put(path, data, sizeof data);
}

static void put_hf(void)
{
    static const struct {
        const char *name;
        int rows, cols;
    } tensors[] = {
        {"model.embed_tokens.weight", VOCAB, DIM},
        {"model.norm.weight", 0, DIM},
        {"model.layers.0.input_layernorm.weight", 0, DIM},
        {"model.layers.0.self_attn.q_proj.weight", DIM, DIM},
        {"model.layers.0.self_attn.k_proj.weight", DIM, DIM},
        {"model.layers.0.self_attn.v_proj.weight", DIM, DIM},
        {"model.layers.0.self_attn.o_proj.weight", DIM, DIM},
        {"model.layers.0.post_attention_layernorm.weight", 0, DIM},
        {"model.layers.0.mlp.gate_proj.weight", HIDDEN, DIM},
        {"model.layers.0.mlp.up_proj.weight", HIDDEN, DIM},
        {"model.layers.0.mlp.down_proj.weight", DIM, HIDDEN},
    };
    static const char config[] =
        "{\"model_type\": \"llama\", \"hidden_size\": 4, \"intermediate_size\": 6, "
        "\"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"vocab_size\": 5, "
        "\"max_position_embeddings\": 2, \"tie_word_embeddings\": true}";
    char path[128], text[4096] = "{";
    size_t at = 0;
    for (size_t i = 0; i < M2C_COUNTOF(tensors); i++) {
        int rows = tensors[i].rows, cols = tensors[i].cols;
        size_t bytes = 2 * (size_t)(rows ? rows : 1) * (size_t)cols, used = strlen(text);
        char shape[32];
        snprintf(shape, sizeof shape, rows ? "%d, %d" : "%.0d%d", rows, cols);
        snprintf(text + used, sizeof text - used,
                 "%s\"%s\": {\"dtype\": \"F16\", \"shape\": [%s], \"data_offsets\": "
                 "[%zu, %zu]}",
                 i ? ", " : "", tensors[i].name, shape, at, at + bytes);
        at += bytes;
    }
    strcat(text, "}");
    uint8_t data[8192] = {(uint8_t)strlen(text), (uint8_t)(strlen(text) >> 8)};
    memcpy(data + 8, text, strlen(text));
    snprintf(path, sizeof path, "%s/config.json", hf_path);
    put(path, config, strlen(config));
    snprintf(path, sizeof path, "%s/model.safetensors", hf_path);
    put(path, data, 8 + strlen(text) + at);
}

static int make_models(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(bin_path, sizeof bin_path, "%s/net.bin", folder);
    snprintf(hf_path, sizeof hf_path, "%s/hf", folder);
    assert_int_equal(mkdir(hf_path, 0700), 0);
    put_bin(bin_path);
    put_hf();
    return 0;
}

static int remove_models(void **state)
{
    (void)state;
    char path[128];
    static const char *const files[] = {
        "net.bin", "hf/config.json", "hf/model.safetensors",
        "hf",      "model.bin",      "tokenizer.bin",
        ""};
    for (size_t i = 0; i < M2C_COUNTOF(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        (void)remove(path);
    }
    return 0;
}

/* ---- the tests ---- */

static void registry(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    const struct m2c_plugin *const *list = m2c_import_list();
    assert_int_equal(m2c_plugin_check((const void *const *)list, "importer", &err), 0);
    for (; *list; list++) {
        const struct m2c_import_ops *ops = (const void *)*list;
        assert_true(ops->sniff && ops->open && ops->close && ops->find);
        assert_true(ops->p.priv_size > 0);
    }
}

static void formats(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_import *im = NULL;
    struct m2c_import_opts opts = {.format = "lama2c", .act = -1};
    assert_int_equal(m2c_import_open(&im, bin_path, &opts, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "unknown format 'lama2c', did you mean 'llama2c'?"));
    opts.format = "hf"; /* a wrong choice is the importer's own error */
    assert_true(m2c_import_open(&im, bin_path, &opts, &err) < 0);
    opts.format = "llama2c";
    assert_int_equal(m2c_import_open(&im, hf_path, &opts, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "not a regular file"));
    opts.format = NULL;
    assert_int_equal(m2c_import_open(&im, hf_path, &opts, &err), 0);
    assert_string_equal(m2c_import_format(im), "hf");
    assert_string_equal(m2c_import_cfg(im)->name, "hf");
    assert_int_equal(m2c_import_type(im, M2C_T_DOWN, 0), M2C_F16);
    m2c_import_close(im);
    m2c_import_close(NULL);
}

static void options(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_import *im = NULL;
    struct m2c_import_opts opts = {.act = M2C_ACT_RELU,
                                   .act_shift = 0.25f,
                                   .input_relu = true,
                                   .input_relu_shift = 1};
    assert_int_equal(m2c_import_open(&im, bin_path, &opts, &err), 0);
    const struct m2c_model_cfg *c = m2c_import_cfg(im);
    assert_int_equal(c->act, M2C_ACT_RELU);
    assert_true(c->act_shift == 0.25f && c->input_relu && c->input_relu_shift == 1);
    m2c_import_close(im);
    opts.act_shift = NAN;
    assert_int_equal(m2c_import_open(&im, bin_path, &opts, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "net.bin: act_shift is not a finite number"));
    opts = (struct m2c_import_opts){.act = M2C_N_ACTS};
    assert_int_equal(m2c_import_open(&im, bin_path, &opts, &err), -EINVAL);
}

static void names(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_import *im = NULL;
    char path[128], tok[128];
    snprintf(path, sizeof path, "%s/model.bin", folder);
    snprintf(tok, sizeof tok, "%s/tokenizer.bin", folder);
    put_bin(path);
    assert_int_equal(m2c_import_open(&im, path, NULL, &err), 0);
    assert_string_equal(m2c_import_cfg(im)->name, folder + 5); /* the folder's */
    assert_null(m2c_import_tokenizer(im));
    m2c_import_close(im);
    put(tok, "x", 1);
    assert_int_equal(chdir(folder), 0); /* bare names, too */
    assert_int_equal(m2c_import_open(&im, "model.bin", NULL, &err), 0);
    assert_string_equal(m2c_import_cfg(im)->name, folder + 5);
    assert_string_equal(m2c_import_tokenizer(im), "./tokenizer.bin");
    m2c_import_close(im);
    assert_int_equal(chdir("/"), 0);
}

static void bounds(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_import *im = NULL;
    struct m2c_import_cols *cols = NULL;
    float x[VOCAB * DIM] = {0};
    assert_int_equal(m2c_import_open(&im, bin_path, NULL, &err), 0);
    assert_int_equal(m2c_import_rows(im, M2C_T_EMBED, 0, 1, VOCAB - 1, x, &err), 0);
    assert_true(x[0] == DIM && x[(VOCAB - 1) * DIM - 1] == VOCAB * DIM - 1);
    assert_int_equal(m2c_import_rows(im, M2C_T_EMBED, 0, VOCAB, 0, x, &err), 0);
    static const struct {
        int kind;
        uint32_t layer, row, n;
    } bad[] = {
        {M2C_T_EMBED, 0, 1, VOCAB},      {M2C_T_EMBED, 0, VOCAB + 1, 0},
        {M2C_T_EMBED, 0, UINT32_MAX, 2}, {M2C_T_EMBED, 0, 2, UINT32_MAX},
        {M2C_T_EMBED, 1, 0, 1},          {M2C_T_WQ, 1, 0, 1},
        {M2C_T_HEAD, 0, 0, 1},           {M2C_N_TENSOR_KINDS, 0, 0, 1},
        {M2C_T_FINAL_NORM, 0, 0, 2},     {-1, 0, 0, 1},
    };
    for (size_t i = 0; i < M2C_COUNTOF(bad); i++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)bad[i].kind;
        err.msg[0] = '\0';
        assert_int_equal(
            m2c_import_rows(im, kind, bad[i].layer, bad[i].row, bad[i].n, x, &err),
            -EINVAL);
        assert_non_null(strstr(err.msg, "no such rows"));
    }
    assert_int_equal(m2c_import_cols_open(im, M2C_T_HEAD, 0, &cols, &err), -EINVAL);
    assert_int_equal(m2c_import_cols_open(im, M2C_T_DOWN, 1, &cols, &err), -EINVAL);
    m2c_import_cols_close(NULL);
    m2c_import_close(im);
}

/* The file was whole at open and is cut afterwards. */
static void shrinks(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_import *im = NULL;
    struct m2c_import_cols *cols = NULL;
    float x[VOCAB * DIM];
    assert_int_equal(m2c_import_open(&im, bin_path, NULL, &err), 0);
    assert_int_equal(truncate(bin_path, 40), 0);
    assert_int_equal(m2c_import_rows(im, M2C_T_EMBED, 0, 0, VOCAB, x, &err), -EIO);
    assert_non_null(strstr(err.msg, "net.bin: ends at byte 40, 68 more expected"));
    assert_int_equal(m2c_import_cols_open(im, M2C_T_DOWN, 0, &cols, &err), -EIO);
    m2c_import_close(im);
    put_bin(bin_path);
}

static void *plain_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

/* Whichever allocation fails, open says so and leaks nothing (the sanitizers
 * see to that). */
static void no_memory(void **state)
{
    (void)state;
    json_set_alloc_funcs(plain_malloc, free);
    const char *const paths[] = {bin_path, hf_path};
    for (size_t p = 0; p < M2C_COUNTOF(paths); p++) {
        int failed = 0, rc = -ENOMEM;
        for (long n = 0; rc; n++) {
            struct m2c_err err = {0};
            struct m2c_import *im = NULL;
            fail_at = n;
            rc = m2c_import_open(&im, paths[p], NULL, &err);
            bool reached = fail_at < 0;
            fail_at = -1;
            if (rc == 0) {
                m2c_import_close(im);
                if (reached) /* only the tokenizer's path may do without memory */
                    rc = -ENOMEM;
            } else {
                assert_true(reached);
                assert_null(im);
                assert_true(err.msg[0]);
                failed++;
            }
            if (rc && n > 2000)
                fail_msg("%s: does not end", paths[p]);
        }
        assert_true(failed >= 4);
    }
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registry),  cmocka_unit_test(formats), cmocka_unit_test(options),
        cmocka_unit_test(names),     cmocka_unit_test(bounds),  cmocka_unit_test(shrinks),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, make_models, remove_models);
}
