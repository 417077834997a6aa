/* SPDX-License-Identifier: MIT */
/* What experiments that generate text have in common. */
#include "experiments/experiments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A shape has no tokenizer, and no token means anything: as many as are asked for. */
static int blank_prompt(struct m2c_run *run, uint32_t **out, uint32_t *n, struct m2c_err *err)
{
    const struct m2c_settings *c = run->cfg;
    if (c->decode.prompt[0] || c->decode.prompt_file[0])
        return m2c_fail(err, -EINVAL,
                        "%s has no tokenizer: give decode.prompt_tokens, and no prompt",
                        m2c_store_path(run->store));
    *n = (uint32_t)c->decode.prompt_tokens + 1; /* BOS comes first, as ever */
    *out = calloc(*n, sizeof **out);
    return *out ? 0 : m2c_fail(err, -ENOMEM, "prompt: out of memory");
}

int m2c_exp_prompt(struct m2c_run *run, uint32_t **out, uint32_t *n_out,
                   struct m2c_err *err)
{
    const struct m2c_settings *c = run->cfg;
    int32_t bos = m2c_store_cfg(run->store)->bos;
    uint32_t *ids = NULL, n = 0, from = 0, take = 0;
    char *text = NULL;
    size_t bytes = 0;
    int r = 0;
    if (!m2c_store_has_weights(run->store))
        return blank_prompt(run, out, n_out, err);
    if (bos < 0)
        return m2c_fail(err, -EINVAL, "the model names no BOS token to start with");
    if ((c->decode.prompt[0] || c->decode.prompt_file[0]) && !run->tok)
        return m2c_fail(err, -EINVAL, "%s holds no tokenizer for the prompt",
                        m2c_store_path(run->store));
    if (c->decode.prompt_file[0])
        r = m2c_text_read(c->decode.prompt_file, &text, &bytes, err);
    if (r == 0 && text)
        r = m2c_text_ids(run->tok, text, bytes, &ids, &n, err);
    else if (r == 0 && c->decode.prompt[0])
        r = m2c_text_ids(run->tok, c->decode.prompt, strlen(c->decode.prompt), &ids, &n,
                         err);
    take = n;
    if (r == 0 && text) {
        struct m2c_rng rng;
        take = (uint32_t)c->decode.prompt_tokens;
        m2c_rng_init(&rng, run->workload_seed, 1);
        if (take > n)
            r = m2c_fail(err, -EINVAL,
                         "%s: %u tokens, fewer than decode.prompt_tokens = %u",
                         c->decode.prompt_file, n, take);
        else
            from = m2c_rng_below(&rng, n - take + 1);
    }
    uint32_t *prompt = r == 0 ? calloc((size_t)take + 1, sizeof *prompt) : NULL;
    if (r == 0 && !prompt)
        r = m2c_fail(err, -ENOMEM, "prompt: out of memory");
    if (r == 0) {
        prompt[0] = (uint32_t)bos;
        if (take)
            memcpy(prompt + 1, ids + from, take * sizeof *ids);
        *out = prompt;
        *n_out = take + 1;
    }
    free(ids);
    free(text);
    return r;
}

void m2c_exp_generation(const struct m2c_run *run, const uint32_t *prompt, uint32_t n,
                        struct m2c_generate_cfg *out)
{
    const struct m2c_settings *c = run->cfg;
    *out = (struct m2c_generate_cfg){
        .prompt = prompt,
        .n_prompt = n,
        .n_new = (uint32_t)c->decode.new_tokens,
        .dense_prefill = strcmp(c->decode.prefill, "dense") == 0,
        .eos = c->decode.ignore_eos ? -1 : m2c_store_cfg(run->store)->eos,
        .sampling = {.temperature = c->decode.temperature,
                     .top_p = c->decode.top_p,
                     .seed = run->workload_seed,
                     .stream = 2},
        .stop = run->stop};
}
