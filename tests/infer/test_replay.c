/* SPDX-License-Identifier: MIT */
/* What a replay counts is what the engine does: the wants of a live run,
 * recorded and replayed through a policy of the same capacity, give its hits,
 * misses and evictions to the last one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exp/replay.h"
#include "infer/model.h"
#include "policy/policy.h"

#include <string.h>

enum { TOKENS = 20 };

static struct model model;

static int record(void *ctx, uint32_t layer, const struct m2c_want *wants, uint32_t n)
{
    return m2c_trace_add(ctx, layer, wants, n);
}

static struct m2c_trace *live(const struct m2c_engine_cfg *cfg,
                              struct m2c_tier_counters *count, uint32_t *slots)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(model.store);
    const uint32_t parts[M2C_LAYOUT_PARTS] = {3, 2, 1};
    struct m2c_trace *t;
    struct m2c_engine *e;
    struct m2c_err err = {0};
    assert_int_equal(
        m2c_trace_new(&t, m->layers, m->hidden, m2c_store_layout(model.store), parts), 0);
    if (m2c_engine_open(&e, model.store, cfg, &err) < 0)
        fail_msg("open: %s", err.msg);
    m2c_engine_watch_wants(e, record, t);
    const struct m2c_piece *p = &model.text.piece[0];
    for (uint32_t i = 0; i < TOKENS; i++) {
        if (m2c_engine_decode(e, i ? p->ids[(i - 1) % p->n] : 0, NULL, &err) < 0 ||
            m2c_tier_check(m2c_engine_tier(e), &err) < 0)
            fail_msg("token %u: %s", i, err.msg);
    }
    m2c_tier_counters(m2c_engine_tier(e), count);
    *slots = m2c_tier_planned(m2c_engine_tier(e))->slots[0];
    m2c_engine_close(e);
    return t;
}

static void compare(const char *policy, double share)
{
    struct m2c_engine_cfg cfg;
    struct m2c_tier_counters c;
    struct m2c_err err = {0};
    uint32_t slots;
    model_cfg(&model, share, &cfg);
    cfg.dev.threads = 1;
    cfg.tier.hbm_policy = policy;
    cfg.tier.ratio = (struct m2c_ratio){3, {1, 0, 0}};
    struct m2c_trace *t = live(&cfg, &c, &slots);
    struct m2c_replay_cfg rc = {.trace = t, .per_layer = true, .threads = 1};
    struct m2c_replay_row row = {.policy = policy,
                                 .capacity = (uint64_t)slots * t->layers};
    if (m2c_replay(&rc, &row, 1, &err) < 0)
        fail_msg("%s: %s", policy, err.msg);
    print_message("%-10s %4u slots: %llu accesses, %llu misses, %llu waves\n", policy,
                  slots, (unsigned long long)row.accesses, (unsigned long long)row.misses,
                  (unsigned long long)row.waves);
    assert_int_equal(row.accesses, c.accesses[0]);
    assert_int_equal(row.hits + row.misses, row.accesses);
    if (strcmp(policy, "score") == 0) { /* a trace has its scores in 8 bits */
        uint64_t far = M2C_MAX(row.misses, c.misses[0]) - M2C_MIN(row.misses, c.misses[0]);
        assert_true(far <= c.misses[0] / 100);
    } else {
        assert_int_equal(row.misses, c.misses[0]);
        assert_int_equal(row.evictions, c.evictions);
    }
    assert_int_equal(row.bypassed, 0);
    assert_int_equal(row.waves, c.waves - (uint64_t)TOKENS * t->layers);
    m2c_trace_free(t);
}

static void replay_is_what_the_engine_does(void **state)
{
    (void)state;
    for (const struct m2c_plugin *const *p = m2c_policy_list(); *p; p++) {
        const char *name = (*p)->name;
        if (m2c_policy_needs_future(name) || m2c_policy_needs_order(name) ||
            strcmp(name, "random") == 0) /* its seeds are others */
            continue;
        compare(name, .35);
        compare(name, .03); /* less than a token's set: waves */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replay_is_what_the_engine_does),
    };
    model_open(&model, "replay");
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    model_close(&model);
    return r;
}
