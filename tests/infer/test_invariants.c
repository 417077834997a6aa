/* SPDX-License-Identifier: MIT */
/* I1: tiering never changes numbers. One hash of the logits over every
 * combination of HBM size, policy, I/O engine, lookahead and threads, and for
 * both arrangements of a layout.
 * I2: everything active at one class is the dense path at that class, bit for
 * bit. I3, I4: budgets and counts hold at every token of every run.
 *
 *   test_invariants [--layout copies|planes] [--arrange part|neuron]
 *                   [--backend B] [--platform P] [--index N] [--library DIR]
 *                   [--cache DIR] [--gemm own|blas|auto] [--quick yes]
 *
 * All of it for each layout and arrangement. On another backend than the cpu the
 * grid is smaller, and a device that makes large buffers of several allocations
 * has to give the same numbers, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "infer/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOKENS = 10, QUICK_TOKENS = 2, /* for devices that are emulated */
    SHADOW_LISTS = sizeof(struct m2c_neuron_ref) + sizeof(float),
    SMALL_ALLOC = 192 << 10 /* units, shadow and dense weights need several */
};

static struct model model;
static struct m2c_dev_cfg device = {.backend = "cpu", .isa = "auto"};
static bool whole_grid = true, quick, unified; /* unified: of the device */
static const char *layout = "copies", *arrange = "part";
static uint64_t widened, narrowed; /* over all runs */

static void base_cfg(double hbm_share, struct m2c_engine_cfg *cfg)
{
    model_cfg(&model, hbm_share, cfg);
    cfg->dev = device;
}

static void dense_cfg(struct m2c_engine_cfg *cfg)
{
    m2c_engine_dense_cfg(model.store, cfg);
    cfg->dev = device;
    if (!unified)
        cfg->tier.hbm_bytes = model_unit_bytes(&model);
}

/* A miss brings what is missing: all parts of the class, unless it had some. */
static void check_bytes(const struct m2c_tier_counters *c)
{
    const struct m2c_layout *l = m2c_store_layout(model.store);
    uint64_t whole = 0;
    for (uint32_t k = 0; k < l->n_classes; k++)
        for (uint32_t q = 0; q < l->n_parts; q++)
            if (l->cls[k].parts >> q & 1)
                whole += c->misses[k] * m2c_store_record(model.store, q)->bytes;
    assert_true(c->widened <= c->reclassed);
    assert_true(c->widened ? c->hbm_wanted < whole : c->hbm_wanted == whole);
    widened += c->widened;
    narrowed += c->reclassed - c->widened;
}

/* Hash of all logits of TOKENS tokens of held-out text. */
static struct m2c_hash128 run(const struct m2c_engine_cfg *cfg, uint64_t *misses)
{
    struct m2c_engine *e;
    struct m2c_hasher *h;
    struct m2c_err err = {0};
    if (m2c_engine_open(&e, model.store, cfg, &err) < 0)
        fail_msg("open: %s", err.msg);
    assert_int_equal(m2c_hasher_open(&h), 0);
    const struct m2c_piece *p = &model.text.piece[0];
    struct m2c_tier_counters c;
    for (uint32_t i = 0; i < (quick ? QUICK_TOKENS : TOKENS); i++) {
        const float *logits;
        if (m2c_engine_decode(e, i ? p->ids[i - 1] : 0, &logits, &err) < 0 ||
            m2c_tier_check(m2c_engine_tier(e), &err) < 0)
            fail_msg("token %u: %s", i, err.msg);
        m2c_hasher_add(h, logits, m2c_engine_vocab(e) * sizeof *logits);
    }
    m2c_tier_counters(m2c_engine_tier(e), &c);
    check_bytes(&c);
    assert_true(c.ssd_moved >= c.ssd_wanted);
    assert_true(c.hbm_moved >= c.hbm_wanted);
    *misses = c.misses[0] + c.misses[1] + c.misses[2];
    const struct m2c_tier_plan *plan = m2c_tier_planned(m2c_engine_tier(e));
    const struct m2c_engine_plan *all = m2c_engine_planned(e);
    assert_true(plan->hbm_bytes <= cfg->tier.hbm_bytes);
    assert_true(plan->dram_bytes <= cfg->tier.dram_bytes);
    /* the shadow is apart from the tiers, and so are its lists */
    uint64_t beside = unified ? 0 : all->shadow_bytes + SHADOW_LISTS * m2c_store_cfg(model.store)->hidden;
    assert_true(m2c_dev_peak(m2c_engine_dev(e), M2C_PLACE_DEVICE) <=
                all->device_bytes + beside);
    struct m2c_hash128 out = m2c_hasher_end(h);
    m2c_hasher_close(h);
    m2c_engine_close(e);
    return out;
}

static void same(struct m2c_hash128 a, struct m2c_hash128 b, const char *what)
{
    if (!m2c_hash_equal(a, b))
        fail_msg("other logits with %s", what);
}

static void tiering_changes_nothing(void **state)
{
    static const double hbm[] = {.02, .05, .2, .6, 1};
    static const char *const policy[] = {
        "atu", "lru", "random",  "fifo",      "clock", "sieve", "lfu",   "lfuda",
        "2q",  "arc", "s3-fifo", "w-tinylfu", "gdsf",  "score", "window", "none"};
    struct m2c_hash128 first = {0};
    uint64_t misses, most = 0, least = UINT64_MAX;
    static const char *const all[] = {"libaio", "io_uring", "pread", "mmap"};
    const char *engine[M2C_COUNTOF(all)];
    size_t n_engines = 0;
    for (size_t k = 0; k < M2C_COUNTOF(all); k++)
        if (m2c_io_probe(all[k], NULL) == 0)
            engine[n_engines++] = all[k];
    /* coprime to all of the grid's sizes: every value comes */
    int n = 0, step = quick ? 29 : whole_grid && strcmp(arrange, "part") == 0 ? 1 : 7;
    (void)state;
    for (int i = 0; i < 5 * 3 * 2 * 2 * 2; i += step) {
        struct m2c_engine_cfg cfg;
        char what[128];
        base_cfg(hbm[i % 5], &cfg);
        cfg.tier.hbm_policy = policy[(i / 5 + i) % 16];
        cfg.tier.engine = engine[(i / 15 + i / 60) % (int)n_engines];
        cfg.tier.io.direct = strstr("libaio io_uring", cfg.tier.engine) != NULL;
        cfg.tier.lookahead = i / 30 % 2 ? 2 : 0;
        if (whole_grid)
            cfg.dev.threads = i / 60 % 2 ? 2 : 1;
        cfg.tier.seed = (uint64_t)i;
        snprintf(what, sizeof what, "hbm %g, %s, %s, lookahead %u, %u threads",
                 hbm[i % 5], cfg.tier.hbm_policy, cfg.tier.engine, cfg.tier.lookahead,
                 cfg.dev.threads);
        struct m2c_hash128 h = run(&cfg, &misses);
        if (n++)
            same(first, h, what);
        first = h;
        most = M2C_MAX(most, misses);
        least = M2C_MIN(least, misses);
    }
    /* the runs were not all alike in what they moved */
    assert_true(most > least);
    char hex[33];
    m2c_hash_hex(first, hex);
    bool nested = strcmp(layout, "planes") == 0;
    assert_true((widened > 0) == nested);
    assert_true(narrowed > 0 || quick);
    print_message("%llu neurons were widened, %llu went elsewhere whole\n",
                  (unsigned long long)widened, (unsigned long long)narrowed);
    print_message("%d runs, %d tokens each: logits %s, misses %llu to %llu\n", n,
                  quick ? QUICK_TOKENS : TOKENS,
                  hex, (unsigned long long)least, (unsigned long long)most);
}

static void unified_and_dram_sizes_change_nothing(void **state)
{
    struct m2c_engine_cfg cfg;
    uint64_t misses;
    (void)state;
    base_cfg(.2, &cfg);
    uint64_t block = cfg.tier.dram_bytes / 3;
    struct m2c_hash128 first = run(&cfg, &misses);
    for (uint64_t blocks = 1; blocks <= 7; blocks += whole_grid ? 1 : 3) {
        cfg.tier.dram_bytes = blocks * block;
        cfg.tier.fixed_layers = blocks == 4 ? 2 : M2C_FIXED_AUTO;
        same(first, run(&cfg, &misses), "another DRAM size");
    }
    cfg.tier.hbm_bytes = 0;
    for (uint64_t blocks = 1; blocks <= 7 && unified; blocks += 2) {
        cfg.tier.dram_bytes = blocks * block;
        same(first, run(&cfg, &misses), "unified memory");
    }
}

static void all_active_is_dense(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 3; c += quick ? 2 : 1) {
        struct m2c_engine_cfg dense, tiers;
        uint64_t misses;
        dense_cfg(&dense);
        dense.tier.ratio = (struct m2c_ratio){3, {c == 0, c == 1, c == 2}};
        struct m2c_hash128 want = run(&dense, &misses);
        base_cfg(.1, &tiers);
        tiers.active = 1;
        tiers.tier.ratio = dense.tier.ratio;
        /* the true scores (of the widest class) are zero for most neurons of a ReLU model,
         * and a neuron that adds nothing must add exactly nothing */
        if (c == 0)
            same(want, run(&tiers, &misses), "oracle, all that are active");
        tiers.selector = "all";
        same(want, run(&tiers, &misses), "every neuron through the tiers");
        assert_true(misses > 0);
    }
}

/* The order of bytes on disk is no part of a model. */
static void arrangements_are_alike(void **state)
{
    struct m2c_engine_cfg cfg;
    struct model here = model;
    uint64_t misses;
    (void)state;
    base_cfg(.2, &cfg);
    struct m2c_hash128 want = run(&cfg, &misses);
    model_open_as(&model, "other", layout, strcmp(arrange, "part") ? "part" : "neuron");
    base_cfg(.2, &cfg);
    same(want, run(&cfg, &misses), "the other arrangement");
    model_close(&model);
    model = here;
}

static void classes_do_change_numbers(void **state)
{
    struct m2c_engine_cfg cfg;
    uint64_t misses;
    (void)state;
    base_cfg(.2, &cfg);
    struct m2c_hash128 mixed = run(&cfg, &misses);
    cfg.tier.ratio = (struct m2c_ratio){3, {1, 0, 0}};
    /* else the tests above compare nothing */
    assert_false(m2c_hash_equal(mixed, run(&cfg, &misses)));
}

/* Units and dense weights in several allocations each; a backend that takes no
 * notice of max_alloc has nothing to show. */
static void allocations_change_nothing(void **state)
{
    struct m2c_engine_cfg cfg;
    uint64_t misses;
    (void)state;
    base_cfg(.4, &cfg);
    struct m2c_hash128 want = run(&cfg, &misses);
    cfg.prefill_rows = 1;
    cfg.ctx = 64;
    cfg.dev.max_alloc = SMALL_ALLOC;
    same(want, run(&cfg, &misses), "small allocations");
}

/* The gate of a layer as an engine on this device decodes it; for free(). */
static float *gate_on(const struct m2c_dev_cfg *dev, uint32_t layer, size_t *n)
{
    struct m2c_engine_cfg cfg;
    struct m2c_engine *e;
    struct m2c_err err = {0};
    const struct m2c_model_cfg *m = m2c_store_cfg(model.store);
    base_cfg(.4, &cfg);
    cfg.dev = *dev;
    if (m2c_engine_open(&e, model.store, &cfg, &err) < 0)
        fail_msg("open: %s", err.msg);
    *n = (size_t)m->hidden * m->dim;
    float *gate = malloc(*n * sizeof(*gate));
    assert_non_null(gate);
    if (m2c_engine_gate(e, layer, gate, &err) < 0)
        fail_msg("gate: %s", err.msg);
    m2c_engine_close(e);
    return gate;
}

/* Whether or not the CPU sees the device's memory. */
static void gate_is_the_stores(void **state)
{
    struct m2c_dev_cfg cpu;
    (void)state;
    m2c_dev_reference_cfg(&device, &cpu);
    size_t n, n_cpu;
    const uint32_t layer = m2c_store_cfg(model.store)->layers - 1;
    float *got = gate_on(&device, layer, &n), *want = gate_on(&cpu, layer, &n_cpu);
    assert_int_equal(n, n_cpu);
    assert_memory_equal(got, want, n * sizeof(*got));
    for (size_t i = 0; i < n && want[i] == 0; i++)
        assert_true(i + 1 < n); /* else there is nothing to compare */
    free(got);
    free(want);
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--layout") == 0)
            layout = argv[i + 1];
        else if (strcmp(argv[i], "--arrange") == 0)
            arrange = argv[i + 1];
        else if (strcmp(argv[i], "--backend") == 0)
            device.backend = argv[i + 1];
        else if (strcmp(argv[i], "--platform") == 0)
            device.platform = argv[i + 1];
        else if (strcmp(argv[i], "--index") == 0)
            device.index = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--library") == 0)
            device.library = argv[i + 1];
        else if (strcmp(argv[i], "--cache") == 0)
            device.cache = argv[i + 1];
        else if (strcmp(argv[i], "--gemm") == 0)
            device.gemm = argv[i + 1];
        else if (strcmp(argv[i], "--quick") == 0)
            quick = true;
    }
    whole_grid = strcmp(device.backend, "cpu") == 0;
}

/* Exit 77 where the device is not there. */
static void look_at_device(void)
{
    struct m2c_dev *dev;
    struct m2c_err err = {0};
    int r = m2c_dev_open(&dev, &device, &err);
    if (r < 0) {
        printf("%s: %s\n", r == -ENODEV ? "skipped" : "device", err.msg);
        exit(r == -ENODEV ? 77 : 1);
    }
    printf("%s\n", m2c_dev_info(dev)->name);
    unified = m2c_dev_info(dev)->unified;
    m2c_dev_close(dev);
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    look_at_device();
    model_open_as(&model, "invariants", layout, arrange);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiering_changes_nothing),
        cmocka_unit_test(unified_and_dram_sizes_change_nothing),
        cmocka_unit_test(all_active_is_dense),
        cmocka_unit_test(arrangements_are_alike),
        cmocka_unit_test(classes_do_change_numbers),
        cmocka_unit_test(allocations_change_nothing),
        cmocka_unit_test(gate_is_the_stores),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    model_close(&model);
    return failed;
}
