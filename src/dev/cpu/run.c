/* SPDX-License-Identifier: MIT */
/* The way from a call to its kernel. */
#include "dev/cpu/kern_impl.h"

#include <errno.h>
#include <stdatomic.h>

bool m2c_cpu_supports(const struct m2c_cpu_isa *isa, enum m2c_op op, enum m2c_type type)
{
    (void)isa;
    switch (op) {
    case M2C_OP_EMBED:
    case M2C_OP_MATMUL: return (unsigned)type < M2C_N_TYPES && m2c_type_planes(type) == 1 &&
                               !m2c_type_digits(type);
    case M2C_OP_FFN_UP:
    case M2C_OP_FFN_DOWN: return (unsigned)type < M2C_N_TYPES && !m2c_type_digits(type);
    case M2C_OP_KV_APPEND:
    case M2C_OP_ATTENTION: return type == M2C_F32 || type == M2C_F16;
    case M2C_OP_FILL:
    case M2C_OP_NORM:
    case M2C_OP_ROPE:
    case M2C_OP_FFN_SUM:
    case M2C_OP_ARGMAX:
    case M2C_OP_SELECT:
    case M2C_OP_LOOKUP: return type == M2C_F32;
    case M2C_N_OPS: break;
    }
    return false;
}

static bool unit_ok(const struct m2c_cpu_isa *isa, enum m2c_op op,
                    const struct m2c_ffn_unit *u)
{
    for (uint32_t i = 0; i < u->n_classes; i++)
        if (!m2c_cpu_supports(isa, op, u->cls[i].type))
            return false;
    return true;
}

static bool call_ok(const struct m2c_cpu_isa *isa, const struct m2c_call *c)
{
    switch (c->op) {
    case M2C_OP_EMBED: return m2c_cpu_supports(isa, c->op, c->u.embed.table.type);
    case M2C_OP_MATMUL: return m2c_cpu_supports(isa, c->op, c->u.matmul.w.type);
    case M2C_OP_KV_APPEND: return m2c_cpu_supports(isa, c->op, c->u.kv_append.type);
    case M2C_OP_ATTENTION: return m2c_cpu_supports(isa, c->op, c->u.attention.type);
    case M2C_OP_FFN_UP: return unit_ok(isa, c->op, c->u.ffn_up.unit);
    case M2C_OP_FFN_DOWN: return unit_ok(isa, c->op, c->u.ffn_down.unit);
    case M2C_OP_FILL:
    case M2C_OP_NORM:
    case M2C_OP_ROPE:
    case M2C_OP_FFN_SUM:
    case M2C_OP_ARGMAX:
    case M2C_OP_SELECT:
    case M2C_OP_LOOKUP: return true;
    case M2C_N_OPS: break;
    }
    return false;
}

int m2c_cpu_run(const struct m2c_cpu_isa *isa, struct m2c_pool *pool,
                const struct m2c_call *call)
{
    const struct m2c_run run = {isa, pool};
    if (!call_ok(isa, call))
        return -ENOTSUP;
    switch (call->op) {
    case M2C_OP_FILL: m2c_cpu_fill(&run, &call->u.fill); break;
    case M2C_OP_EMBED: m2c_cpu_embed(&run, &call->u.embed); break;
    case M2C_OP_NORM: m2c_cpu_norm(&run, &call->u.norm); break;
    case M2C_OP_MATMUL: m2c_cpu_matmul(&run, &call->u.matmul); break;
    case M2C_OP_ROPE: m2c_cpu_rope(&run, &call->u.rope); break;
    case M2C_OP_KV_APPEND: m2c_cpu_kv_append(&run, &call->u.kv_append); break;
    case M2C_OP_ATTENTION: m2c_cpu_attention(&run, &call->u.attention); break;
    case M2C_OP_FFN_UP: m2c_cpu_ffn_up(&run, &call->u.ffn_up); break;
    case M2C_OP_FFN_DOWN: m2c_cpu_ffn_down(&run, &call->u.ffn_down); break;
    case M2C_OP_FFN_SUM: m2c_cpu_ffn_sum(&run, &call->u.ffn_sum); break;
    case M2C_OP_ARGMAX: m2c_cpu_argmax(&run, &call->u.argmax); break;
    case M2C_OP_SELECT: m2c_cpu_select(&run, &call->u.select); break;
    case M2C_OP_LOOKUP: m2c_cpu_lookup(&run, &call->u.lookup); break;
    case M2C_N_OPS: return -ENOTSUP;
    }
    return 0;
}

/* ---- the measure ---- */

enum { READ_CHUNK = 256 << 10, READ_STEP = 256 };

struct reading {
    const struct m2c_cpu_isa *isa;
    const uint8_t *p;
    atomic_uint_fast64_t result;
};

static void read_steps(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    struct reading *r = ctx;
    uint64_t v = r->isa->read(r->p + begin * READ_STEP, (end - begin) * READ_STEP);
    atomic_fetch_or_explicit(&r->result, v, memory_order_relaxed);
}

uint64_t m2c_cpu_read(const struct m2c_cpu_isa *isa, struct m2c_pool *pool, const void *p,
                      size_t bytes)
{
    struct reading r = {.isa = isa, .p = p};
    atomic_init(&r.result, 0);
    m2c_pool_run(pool, bytes / READ_STEP, READ_CHUNK / READ_STEP, read_steps, &r);
    return atomic_load(&r.result);
}
