/* SPDX-License-Identifier: MIT */
/* The table of shapes, each with the source of its numbers.
 *
 * Densities are those of PowerInfer (SOSP 2024; 1 - its sparsity): ReGLU-7B 70 %
 * sparse, 13B 78 %, 70B 82 %, Falcon(ReLU)-40B 95 %, LLaMA2-13B (SwiGLU) 43 %, the
 * last by a threshold that costs less than 1 % of perplexity. */
#include "ops/preset.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Llama 2's tokenizer: 32,000 tokens, <s> 1, </s> 2. Its rows are in the order of
 * Hugging Face's checkpoints, which rotate halves. */
#define LLAMA(title, dim_, hidden_, layers_, heads_, kv_, ctx_, act_)                    \
    {                                                                                    \
        .name = title " shape", .arch = "llama", .dim = dim_, .hidden = hidden_,         \
        .layers = layers_, .heads = heads_, .kv_heads = kv_,                             \
        .head_dim = (dim_) / (heads_), .vocab = 32000, .ctx = ctx_, .experts = 1,        \
        .has_gate = true, .act = act_, .norm_eps = 1e-5f, .rope = M2C_ROPE_HALF,         \
        .rope_theta = 10000, .bos = 1, .eos = 2                                          \
    }

/* tiiuae/falcon-40b: hidden_size 8192, num_hidden_layers 60, num_attention_heads 128
 * (of 64), num_kv_heads 8, vocab_size 65024, bos 11, eos 11, layer_norm_epsilon 1e-5,
 * head tied to the embedding, FFN of two matrices, 4 · hidden_size wide. Its block is
 * parallel, with two layer norms; here it is sequential, with two RMS norms. */
#define FALCON_40B(title, act_)                                                          \
    {                                                                                    \
        .name = title " shape", .arch = "llama", .dim = 8192, .hidden = 32768,           \
        .layers = 60, .heads = 128, .kv_heads = 8, .head_dim = 64, .vocab = 65024,       \
        .ctx = 2048, .experts = 1, .tied_head = true, .has_gate = false, .act = act_,    \
        .norm_eps = 1e-5f, .rope = M2C_ROPE_HALF, .rope_theta = 10000, .bos = 11,        \
        .eos = 11                                                                        \
    }

static const struct m2c_preset presets[] = {
    /* No model: small enough for a test, with grouped heads and a last group of 20
     * weights. */
    {"tiny",
     "no model's: for tests",
     NAN,
     {.name = "tiny shape",
      .arch = "llama",
      .dim = 52,
      .hidden = 160,
      .layers = 3,
      .heads = 2,
      .kv_heads = 1,
      .head_dim = 26,
      .vocab = 512,
      .ctx = 128,
      .experts = 1,
      .has_gate = true,
      .act = M2C_ACT_RELU,
      .norm_eps = 1e-5f,
      .rope = M2C_ROPE_HALF,
      .rope_theta = 10000,
      .bos = 1,
      .eos = 2}},
    /* TinyLlama/TinyLlama-1.1B: hidden_size 2048, intermediate_size 5632, 22 layers,
     * 32 heads, 4 kv heads, max_position_embeddings 2048. */
    {"1b", "TinyLlama-1.1B, SwiGLU", NAN,
     LLAMA("1b", 2048, 5632, 22, 32, 4, 2048, M2C_ACT_SILU)},
    /* meta-llama/Llama-2-7b-hf: 4096, 11008, 32 layers, 32 heads, ctx 4096. */
    {"7b", "Llama-2-7B, SwiGLU", NAN,
     LLAMA("7b", 4096, 11008, 32, 32, 32, 4096, M2C_ACT_SILU)},
    /* meta-llama/Llama-2-13b-hf: 5120, 13824, 40 layers, 40 heads, ctx 4096. */
    {"13b", "Llama-2-13B, SwiGLU", 0.57,
     LLAMA("13b", 5120, 13824, 40, 40, 40, 4096, M2C_ACT_SILU)},
    {"40b-falcon", "Falcon-40B, GELU, no gate; sequential blocks and RMS norms", NAN,
     FALCON_40B("40b-falcon", M2C_ACT_GELU)},
    /* meta-llama/Llama-2-70b-hf: 8192, 28672, 80 layers, 64 heads, 8 kv heads, ctx
     * 4096. */
    {"70b", "Llama-2-70B, SwiGLU", NAN,
     LLAMA("70b", 8192, 28672, 80, 64, 8, 4096, M2C_ACT_SILU)},
    /* SparseLLM/ReluLLaMA-7B, -13B, -70B: the same shapes, hidden_act relu. */
    {"7b-relu", "ReluLLaMA-7B, ReGLU", 0.30,
     LLAMA("7b-relu", 4096, 11008, 32, 32, 32, 4096, M2C_ACT_RELU)},
    {"13b-relu", "ReluLLaMA-13B, ReGLU", 0.22,
     LLAMA("13b-relu", 5120, 13824, 40, 40, 40, 4096, M2C_ACT_RELU)},
    /* SparseLLM/ReluFalcon-40B. */
    {"40b-falcon-relu", "ReluFalcon-40B, no gate; sequential blocks and RMS norms", 0.05,
     FALCON_40B("40b-falcon-relu", M2C_ACT_RELU)},
    {"70b-relu", "ReluLLaMA-70B, ReGLU", 0.18,
     LLAMA("70b-relu", 8192, 28672, 80, 64, 8, 4096, M2C_ACT_RELU)},
};

const struct m2c_preset *m2c_preset_list(size_t *n)
{
    *n = M2C_COUNTOF(presets);
    return presets;
}

const struct m2c_preset *m2c_preset_find(const char *name, struct m2c_err *err)
{
    const char *names[M2C_COUNTOF(presets) + 1] = {0};
    char list[256];
    size_t len = 0;
    for (size_t i = 0; i < M2C_COUNTOF(presets); i++) {
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
        names[i] = presets[i].name;
        int k = snprintf(list + len, sizeof list - len, "%s%s", i ? ", " : "", names[i]);
        len += k > 0 ? M2C_MIN((size_t)k, sizeof list - len - 1) : 0;
    }
    const char *near = m2c_nearest(name, names);
    (void)m2c_fail(err, -EINVAL, "no preset '%.40s'%s%s%s; there are %s", name,
                   near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "",
                   list);
    return NULL;
}
