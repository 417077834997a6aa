/* SPDX-License-Identifier: MIT */
/* The engine on a simulated machine: tiers decide as they do on a real device, a
 * run takes the same virtual time whenever it is made, shapes need no file, and what
 * needs numbers is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/generate.h"
#include "infer/model.h"
#include "ops/preset.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 6, PROMPT = 5 };

static struct model model;
static struct m2c_rank *rank;
static char m40[512];

/* Of a real store, by a selector that needs no numbers. */
static void config(const char *selector, double hbm, const char *policy, bool simulated,
                   struct m2c_engine_cfg *cfg)
{
    model_cfg(&model, hbm, cfg);
    cfg->selector = selector;
    cfg->rank = cfg->tier.rank = rank;
    cfg->active = strcmp(selector, "all") == 0 ? 1 : 0.3;
    cfg->tier.hbm_policy = policy;
    cfg->prefill_rows = 3;
    if (!simulated)
        return;
    cfg->dev = (struct m2c_dev_cfg){.backend = "sim", .profile = m40};
    cfg->tier.engine = "sim";
    cfg->tier.io.direct = true;
}

struct outcome {
    struct m2c_tier_counters tiers;
    uint64_t active[M2C_MAX_CLASSES], ttft_ns, decode_ns, phase_ns[M2C_N_PHASES];
};

static struct outcome run(const struct m2c_store *store, const struct m2c_engine_cfg *cfg)
{
    static const uint32_t prompt[PROMPT] = {1, 5, 9, 20, 3};
    struct m2c_generate_cfg gen = {.prompt = prompt, .n_prompt = PROMPT, .n_new = TOKENS + 1,
                                   .dense_prefill = true, .eos = -1, .sampling = {.top_p = 1}};
    struct m2c_generate_result res;
    struct m2c_engine *e = NULL;
    struct m2c_err err = {0};
    struct outcome o = {0};
    if (m2c_engine_open(&e, store, cfg, &err) < 0 || m2c_generate(e, &gen, &res, &err) < 0)
        fail_msg("%s", err.msg);
    if (m2c_tier_check(m2c_engine_tier(e), &err) < 0)
        fail_msg("%s", err.msg);
    m2c_tier_counters(m2c_engine_tier(e), &o.tiers);
    memcpy(o.active, m2c_engine_stats(e)->active, sizeof o.active);
    memcpy(o.phase_ns, m2c_engine_stats(e)->phase_ns, sizeof o.phase_ns);
    o.ttft_ns = res.prefill_ns;
    o.decode_ns = res.decode_ns;
    assert_int_equal(res.n_new, TOKENS + 1);
    free(res.token_ns);
    m2c_engine_close(e);
    return o;
}

static void assert_same_decisions(const struct outcome *real, const struct outcome *sim)
{
    struct m2c_tier_counters a = real->tiers, b = sim->tiers;
    /* O_DIRECT reads whole blocks, at most two more an extent; time differs */
    assert_true(b.ssd_moved >= a.ssd_wanted);
    assert_true(b.ssd_moved - a.ssd_wanted <= a.layer_loads * M2C_LAYOUT_PARTS * 8192);
    a.ssd_moved = b.ssd_moved = a.ssd_wait_ns = b.ssd_wait_ns = 0;
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_equal(real->active, sim->active, sizeof sim->active);
    assert_true(a.hbm_wanted > 0 && a.ssd_wanted > 0);
}

static void test_decisions(void **state)
{
    static const struct {
        const char *selector, *policy;
        double hbm;
    } runs[] = {{"static", "atu", 0.1}, {"static", "lru", 0.02}, {"static", "random", 0.2},
                {"all", "lru", 0.15},   {"all", "fifo", 0.6}};
    (void)state;
    for (size_t i = 0; i < M2C_COUNTOF(runs); i++) {
        struct m2c_engine_cfg real, sim;
        config(runs[i].selector, runs[i].hbm, runs[i].policy, false, &real);
        config(runs[i].selector, runs[i].hbm, runs[i].policy, true, &sim);
        struct outcome a = run(model.store, &real), b = run(model.store, &sim);
        assert_same_decisions(&a, &b);
    }
}

static void test_deterministic(void **state)
{
    struct m2c_engine_cfg cfg;
    (void)state;
    config("all", 0.15, "random", true, &cfg);
    struct outcome a = run(model.store, &cfg), b = run(model.store, &cfg);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(a.ttft_ns > 0 && a.decode_ns > 0);
    uint64_t sum = 0;
    for (int i = 0; i < M2C_N_PHASES; i++)
        sum += a.phase_ns[i];
    /* the phases are the time of the compute queue, which is nearly all there is */
    assert_true(sum <= a.ttft_ns + a.decode_ns && sum > (a.ttft_ns + a.decode_ns) * 8 / 10);
}

/* ---- shapes ---- */

static struct m2c_store *shape(const char *preset, enum m2c_type dense)
{
    struct m2c_err err = {0};
    struct m2c_store *s = NULL;
    const struct m2c_preset *p = m2c_preset_find(preset, &err);
    if (!p || m2c_store_shape(&s, &p->cfg, "planes", "part", dense, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

static void shape_config(struct m2c_store *s, uint64_t hbm, struct m2c_engine_cfg *cfg)
{
    m2c_engine_dense_cfg(s, cfg);
    cfg->dev = (struct m2c_dev_cfg){.backend = "sim", .profile = m40};
    cfg->tier.ratio = (struct m2c_ratio){3, {.25, .25, .5}};
    cfg->tier.hbm_bytes = hbm;
    cfg->tier.dram_bytes = UINT64_C(48) << 30;
    cfg->tier.engine = "sim";
    cfg->tier.io.direct = true;
    cfg->tier.io.chunk = 16 << 20;
    cfg->ctx = 512;
    cfg->prefill_rows = 8;
}

static void test_shape(void **state)
{
    struct m2c_engine_cfg cfg;
    (void)state;
    struct m2c_store *s = shape("7b", M2C_I4);
    const struct m2c_model_cfg *m = m2c_store_cfg(s);
    shape_config(s, UINT64_C(2) << 30, &cfg);
    cfg.tier.dram_bytes = UINT64_C(3) << 30; /* of 8.7 GB */
    struct outcome o = run(s, &cfg);
    assert_int_equal(o.active[0] + o.active[1] + o.active[2],
                     (uint64_t)m->hidden * m->layers * TOKENS);
    /* what the SSD gives in that time, and the link, are not exceeded */
    double seconds = (double)(o.ttft_ns + o.decode_ns) * 1e-9;
    assert_true((double)o.tiers.ssd_moved <= seconds * 3.5e9 * 1.0001 + (1 << 30));
    assert_true((double)o.tiers.hbm_moved <= seconds * 12.3e9);
    m2c_store_close(s);
}

static void open_fails(const struct m2c_store *s, const struct m2c_engine_cfg *cfg, int code,
                       const char *says)
{
    struct m2c_engine *e = NULL;
    struct m2c_err err = {0};
    assert_int_equal(m2c_engine_open(&e, s, cfg, &err), code);
    if (!strstr(err.msg, says))
        fail_msg("'%s' does not say '%s'", err.msg, says);
}

static void test_memory(void **state)
{
    struct m2c_engine_cfg cfg;
    (void)state;
    struct m2c_store *s = shape("70b", M2C_F16); /* dense weights of 23.5 GiB */
    shape_config(s, UINT64_C(1) << 30, &cfg);
    open_fails(s, &cfg, -ENOSPC, "dense weights");
    m2c_store_close(s);
    s = shape("70b", M2C_I8);
    shape_config(s, UINT64_C(12) << 30, &cfg);
    open_fails(s, &cfg, -ENOSPC, "would fit");
    shape_config(s, UINT64_C(1) << 30, &cfg);
    cfg.tier.dram_bytes = UINT64_C(80) << 30;
    open_fails(s, &cfg, -ENOMEM, "simulated host");
    m2c_store_close(s);
}

static void test_refused(void **state)
{
    struct m2c_engine_cfg cfg;
    struct m2c_err err = {0};
    (void)state;
    config("static", 0.2, "lru", true, &cfg);
    cfg.selector = "oracle";
    open_fails(model.store, &cfg, -EINVAL, "true activations");
    config("static", 0.2, "lru", true, &cfg);
    cfg.tier.engine = "pread";
    open_fails(model.store, &cfg, -EINVAL, "ssd.engine = sim");
    config("static", 0.2, "lru", false, &cfg);
    cfg.tier.engine = "sim";
    cfg.tier.io.direct = true;
    open_fails(model.store, &cfg, -EINVAL, "device.backend = sim");
    struct m2c_store *s = shape("7b", M2C_I8);
    m2c_engine_dense_cfg(s, &cfg);
    open_fails(s, &cfg, -EINVAL, "without weights");
    m2c_store_close(s);
    /* scoring needs logits, and there are none */
    const float *logits;
    struct m2c_engine *e = NULL;
    config("static", 0.2, "lru", true, &cfg);
    assert_int_equal(m2c_engine_open(&e, model.store, &cfg, &err), 0);
    assert_int_equal(m2c_engine_decode(e, 1, &logits, &err), -ENOTSUP);
    m2c_engine_close(e);
}

int main(void)
{
    snprintf(m40, sizeof m40, "%s/configs/devices/m40.ini", getenv("M2C_SOURCE"));
    model_open_as(&model, "sim", "planes", "part");
    const struct m2c_model_cfg *m = m2c_store_cfg(model.store);
    if (m2c_rank_new(&rank, m->layers, m->hidden) < 0)
        return 1;
    for (uint32_t l = 0; l < m->layers; l++) {
        for (uint32_t i = 0; i < m->hidden; i++)
            rank->layer[l].freq[i] = (float)((i * 2654435761u + l) % 1000);
    }
    if (m2c_rank_sort(rank) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decisions), cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_shape),     cmocka_unit_test(test_memory),
        cmocka_unit_test(test_refused),
    };
    int r = cmocka_run_group_tests_name("sim engine", tests, NULL, NULL);
    m2c_rank_free(rank);
    model_close(&model);
    return r;
}
