/* SPDX-License-Identifier: MIT */
/* Checks of a model's shape. Files are foreign: nothing here is trusted. */
#include "ops/model.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Ceilings that no real model comes near, so that products of two of these
 * fields fit 64 bits and row sizes fit 32. */
enum {
    MAX_DIM = 1 << 20,
    MAX_HIDDEN = 1 << 22,
    MAX_LAYERS = 4096,
    MAX_VOCAB = 1 << 24,
    MAX_CTX = 1 << 24,
    MAX_EXPERTS = 1 << 16
};

static int check_ranges(const struct m2c_model_cfg *c, struct m2c_err *err)
{
    const struct {
        const char *name;
        uint32_t value, max;
    } fields[] = {
        {"dim", c->dim, MAX_DIM},           {"hidden", c->hidden, MAX_HIDDEN},
        {"layers", c->layers, MAX_LAYERS},  {"heads", c->heads, MAX_DIM},
        {"kv_heads", c->kv_heads, MAX_DIM}, {"head_dim", c->head_dim, MAX_DIM},
        {"vocab", c->vocab, MAX_VOCAB},     {"ctx", c->ctx, MAX_CTX},
        {"experts", c->experts, MAX_EXPERTS},
    };
    for (size_t i = 0; i < M2C_COUNTOF(fields); i++)
        if (fields[i].value < 1 || fields[i].value > fields[i].max)
            return m2c_fail(err, -EINVAL, "%s is %u, expected 1 to %u", fields[i].name,
                            (unsigned)fields[i].value, (unsigned)fields[i].max);
    return 0;
}

static int check_numbers(const struct m2c_model_cfg *c, struct m2c_err *err)
{
    if (!(c->norm_eps >= 0 && c->norm_eps < 1))
        return m2c_fail(err, -EINVAL, "norm_eps is %g, expected 0 to 1",
                        (double)c->norm_eps);
    if (!(c->rope_theta > 0 && isfinite(c->rope_theta)))
        return m2c_fail(err, -EINVAL, "rope_theta is %g, expected a positive number",
                        c->rope_theta);
    if (!isfinite(c->act_shift))
        return m2c_fail(err, -EINVAL, "act_shift is not a finite number");
    if (!isfinite(c->input_relu_shift))
        return m2c_fail(err, -EINVAL, "input_relu_shift is not a finite number");
    if (c->bos < -1 || (c->bos >= 0 && (uint32_t)c->bos >= c->vocab))
        return m2c_fail(err, -EINVAL, "bos is %d, expected -1 or a token below %u",
                        (int)c->bos, (unsigned)c->vocab);
    if (c->eos < -1 || (c->eos >= 0 && (uint32_t)c->eos >= c->vocab))
        return m2c_fail(err, -EINVAL, "eos is %d, expected -1 or a token below %u",
                        (int)c->eos, (unsigned)c->vocab);
    return 0;
}

int m2c_model_cfg_check(const struct m2c_model_cfg *c, struct m2c_err *err)
{
    if (!memchr(c->name, 0, sizeof(c->name)))
        return m2c_fail(err, -EINVAL, "name does not end within %zu bytes",
                        sizeof(c->name));
    if (!memchr(c->synthetic, 0, sizeof(c->synthetic)))
        return m2c_fail(err, -EINVAL, "synthetic does not end within %zu bytes",
                        sizeof(c->synthetic));
    if (!memchr(c->arch, 0, sizeof(c->arch)) || strcmp(c->arch, "llama") != 0)
        return m2c_fail(err, -EINVAL, "arch is '%.31s', expected 'llama'", c->arch);
    int rc = check_ranges(c, err);
    if (rc)
        return rc;
    if (c->heads % c->kv_heads)
        return m2c_fail(err, -EINVAL, "heads (%u) is no multiple of kv_heads (%u)",
                        (unsigned)c->heads, (unsigned)c->kv_heads);
    if ((uint64_t)c->heads * c->head_dim > MAX_HIDDEN)
        return m2c_fail(err, -EINVAL, "heads (%u) times head_dim (%u) is above %d",
                        (unsigned)c->heads, (unsigned)c->head_dim, MAX_HIDDEN);
    if (c->head_dim % 2)
        return m2c_fail(err, -EINVAL, "head_dim is %u, expected an even number",
                        (unsigned)c->head_dim);
    if ((uint64_t)c->ctx * c->kv_heads * c->head_dim > UINT64_C(1) << 40)
        return m2c_fail(err, -EINVAL, "a cache of ctx %u, kv_heads %u, head_dim %u is absurd",
                        (unsigned)c->ctx, (unsigned)c->kv_heads, (unsigned)c->head_dim);
    if ((unsigned)c->act >= M2C_N_ACTS)
        return m2c_fail(err, -EINVAL, "act is %d, which is no activation", (int)c->act);
    if ((unsigned)c->rope > M2C_ROPE_INTERLEAVED)
        return m2c_fail(err, -EINVAL, "rope is %d, which is no style", (int)c->rope);
    return check_numbers(c, err);
}
