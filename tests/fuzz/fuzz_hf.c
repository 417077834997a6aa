/* SPDX-License-Identifier: MIT */
/* Hugging Face folders: config.json, index and safetensors headers.
 *
 * An input is a folder: pieces between lines "====". The first is config.json;
 * of two, the second is model.safetensors; of more, the second is the index
 * and the others are a.safetensors, b.safetensors. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_import.h"

enum { N_SEEDS = 2, N_FILES = 5, N_TENSORS = 12, MAX_BYTES = 8192 };

static const char mark[] = "\n====\n";
static const char *const files[N_FILES] = {"config.json", "model.safetensors",
                                           "model.safetensors.index.json",
                                           "a.safetensors", "b.safetensors"};
static char folder[32];

static const char config[] =
    "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], "
    "\"hidden_size\": 8, \"intermediate_size\": 6, \"num_hidden_layers\": 1, "
    "\"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"head_dim\": 4, "
    "\"vocab_size\": 5, \"max_position_embeddings\": 3, \"tie_word_embeddings\": false, "
    "\"rms_norm_eps\": 1e-5, \"hidden_act\": \"silu\", \"rope_theta\": 10000.0, "
    "\"rope_scaling\": {\"rope_type\": \"default\"}, \"sliding_window\": null, "
    "\"bos_token_id\": 1, \"eos_token_id\": [2, 3], \"attention_bias\": false}";

static const struct {
    const char *name;
    int rows, cols; /* rows 0: a vector */
} tensors[N_TENSORS] = {
    {"model.embed_tokens.weight", 5, 8},
    {"lm_head.weight", 5, 8},
    {"model.norm.weight", 0, 8},
    {"model.layers.0.input_layernorm.weight", 0, 8},
    {"model.layers.0.post_attention_layernorm.weight", 0, 8},
    {"model.layers.0.self_attn.q_proj.weight", 8, 8},
    {"model.layers.0.self_attn.k_proj.weight", 4, 8},
    {"model.layers.0.self_attn.v_proj.weight", 4, 8},
    {"model.layers.0.self_attn.o_proj.weight", 8, 8},
    {"model.layers.0.mlp.gate_proj.weight", 6, 8},
    {"model.layers.0.mlp.up_proj.weight", 6, 8},
    {"model.layers.0.mlp.down_proj.weight", 8, 6},
};

/* A safetensors file of tensors [first, end); returns its bytes. */
static size_t put_weights(uint8_t *out, int first, int end)
{
    char text[4096] = "{", shape[32];
    size_t at = 0;
    for (int i = first; i < end; i++) {
        int rows = tensors[i].rows, cols = tensors[i].cols;
        size_t bytes = 2 * (size_t)(rows ? rows : 1) * (size_t)cols, used = strlen(text);
        if (rows)
            snprintf(shape, sizeof shape, "%d,%d", rows, cols);
        else
            snprintf(shape, sizeof shape, "%d", cols);
        snprintf(
            text + used, sizeof text - used,
            "%s\"%s\":{\"dtype\":\"BF16\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
            i > first ? "," : "", tensors[i].name, shape, at, at + bytes);
        at += bytes;
    }
    strcat(text, "}");
    size_t n = strlen(text);
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(n >> 8 * i);
    memcpy(out + 8, text, n);
    return 8 + n + at;
}

static size_t put_text(uint8_t *out, const char *text)
{
    memcpy(out, text, strlen(text));
    return strlen(text);
}

static size_t put_index(uint8_t *out, int split)
{
    size_t n = put_text(out, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    for (int i = 0; i < N_TENSORS; i++) {
        char line[128];
        snprintf(line, sizeof line, "%s\"%s\": \"%s\"", i ? ", " : "", tensors[i].name,
                 files[i < split ? 3 : 4]);
        n += put_text(out + n, line);
    }
    return n + put_text(out + n, "}}");
}

bool fuzz_seed(size_t i, const uint8_t **data, size_t *n)
{
    static uint8_t seeds[N_SEEDS][MAX_BYTES];
    if (i >= N_SEEDS)
        return false;
    uint8_t *s = seeds[i];
    size_t k = put_text(s, config);
    k += put_text(s + k, mark);
    if (i == 0) {
        k += put_weights(s + k, 0, N_TENSORS);
    } else {
        k += put_index(s + k, 5);
        k += put_text(s + k, mark);
        k += put_weights(s + k, 0, 5);
        k += put_text(s + k, mark);
        k += put_weights(s + k, 5, N_TENSORS);
    }
    *data = s;
    *n = k;
    return true;
}

static void path_of(const char *file, char out[96])
{
    snprintf(out, 96, "%s/%s", folder, file);
}

static void empty_folder(void)
{
    char path[96];
    for (int i = 0; i < N_FILES; i++) {
        path_of(files[i], path);
        (void)unlink(path);
    }
}

static void remove_folder(void)
{
    empty_folder();
    (void)rmdir(folder);
}

static void make_folder(void)
{
    strcpy(folder, "/dev/shm/m2c-fuzz-XXXXXX");
    if (!mkdtemp(folder)) {
        strcpy(folder, "/tmp/m2c-fuzz-XXXXXX");
        FUZZ_CHECK(mkdtemp(folder) != NULL);
    }
    atexit(remove_folder);
}

/* The end of the piece that begins at `at`. */
static size_t piece_end(const uint8_t *data, size_t n, size_t at)
{
    for (; at + sizeof mark - 1 <= n; at++)
        if (memcmp(data + at, mark, sizeof mark - 1) == 0)
            return at;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t begin[N_FILES], end[N_FILES], k = 0;
    if (!folder[0])
        make_folder();
    empty_folder();
    for (size_t at = 0; at <= n && k < 4; at = end[k++] + sizeof mark - 1) {
        begin[k] = at;
        end[k] = piece_end(data, n, at);
    }
    for (size_t i = 0; i < k; i++) {
        char path[96];
        path_of(files[i == 0 || k == 2 ? i : i + 1], path);
        FILE *f = fopen(path, "wb");
        FUZZ_CHECK(f != NULL);
        FUZZ_CHECK(fwrite(data + begin[i], 1, end[i] - begin[i], f) == end[i] - begin[i]);
        FUZZ_CHECK(fclose(f) == 0);
    }
    fuzz_import(folder, folder);
    return 0;
}
