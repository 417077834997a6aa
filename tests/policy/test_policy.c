/* SPDX-License-Identifier: MIT */
/* Every policy: bookkeeping after each access, pins, misses against a
 * brute-force twin and against the optimum on small random traces, golden
 * counts on a fixed one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 64 };

/* One token's wants: a set, pinned together; `trace` is tokens of `width`
 * ascending ids. Returns the misses. */
static unsigned replay(const char *name, const uint32_t *trace, unsigned tokens,
                       unsigned width, uint32_t capacity)
{
    struct m2c_policy *p;
    struct m2c_err err = {0};
    uint16_t pins[BLOCKS] = {0};
    bool in[BLOCKS] = {0};
    unsigned misses = 0;
    assert_int_equal(m2c_policy_open(&p, name, BLOCKS, capacity, 7, &err), 0);
    for (unsigned t = 0; t < tokens; t++) {
        const uint32_t *set = trace + (size_t)t * width;
        for (unsigned i = 0; i < width; i++) {
            struct m2c_access a = {.id = set[i], .now = t};
            pins[set[i]] = 1;
            if (in[set[i]])
                m2c_policy_hit(p, &a);
            assert_true(m2c_policy_check(p));
        }
        for (unsigned i = 0; i < width; i++) {
            struct m2c_access a = {.id = set[i], .now = t};
            if (in[set[i]])
                continue;
            misses++;
            if (m2c_policy_resident(p) == capacity) {
                uint32_t before = m2c_policy_resident(p), v = m2c_policy_victim(p, pins);
                assert_true(v < BLOCKS && in[v] && !pins[v]);
                assert_int_equal(m2c_policy_resident(p), before); /* chose, did not act */
                m2c_policy_remove(p, v);
                in[v] = false;
            }
            m2c_policy_insert(p, &a);
            in[set[i]] = true;
            assert_true(m2c_policy_check(p));
        }
        memset(pins, 0, sizeof pins);
    }
    m2c_policy_close(p);
    return misses;
}

/* Ascending sets with a hot half, some overlap from token to token. */
static void make_trace(uint32_t *trace, unsigned tokens, unsigned width, uint64_t seed)
{
    struct m2c_rng r;
    m2c_rng_init(&r, seed, 0);
    for (unsigned t = 0; t < tokens; t++) {
        bool in[BLOCKS] = {0};
        unsigned n = 0;
        for (unsigned i = 0; t && i < width; i++) { /* about half stays */
            uint32_t id = trace[(size_t)(t - 1) * width + i];
            if (m2c_rng_below(&r, 2)) {
                in[id] = true;
                n++;
            }
        }
        while (n < width) {
            uint32_t id = m2c_rng_below(&r, m2c_rng_below(&r, 2) ? BLOCKS : BLOCKS / 4);
            n += !in[id];
            in[id] = true;
        }
        for (uint32_t id = 0, at = 0; id < BLOCKS; id++) {
            if (in[id])
                trace[(size_t)t * width + at++] = id;
        }
    }
}

/* LRU told in one line: the victim has the oldest last access, and of those
 * the one accessed first (hits of a token come before its misses). */
static unsigned twin_lru(const uint32_t *trace, unsigned tokens, unsigned width,
                         uint32_t capacity)
{
    long last[BLOCKS], clock = 0;
    bool in[BLOCKS] = {0};
    unsigned misses = 0, held = 0;
    for (unsigned t = 0; t < tokens; t++) {
        const uint32_t *set = trace + (size_t)t * width;
        bool missing[BLOCKS] = {0}, wanted[BLOCKS] = {0};
        for (unsigned i = 0; i < width; i++) {
            wanted[set[i]] = true;
            missing[set[i]] = !in[set[i]];
            if (in[set[i]])
                last[set[i]] = clock++;
        }
        for (unsigned i = 0; i < width; i++) {
            if (!missing[set[i]])
                continue;
            misses++;
            if (held == capacity) {
                int v = -1;
                for (int id = 0; id < BLOCKS; id++) {
                    if (in[id] && !wanted[id] && (v < 0 || last[id] < last[v]))
                        v = id;
                }
                in[v] = false;
                held--;
            }
            in[set[i]] = true;
            held++;
            last[set[i]] = clock++;
        }
    }
    return misses;
}

/* Belady's choice among what is not wanted now: never more misses than any
 * policy that must admit everything. */
static unsigned optimum(const uint32_t *trace, unsigned tokens, unsigned width,
                        uint32_t capacity)
{
    bool in[BLOCKS] = {0};
    unsigned misses = 0, held = 0;
    for (unsigned t = 0; t < tokens; t++) {
        const uint32_t *set = trace + (size_t)t * width;
        bool wanted[BLOCKS] = {0};
        for (unsigned i = 0; i < width; i++)
            wanted[set[i]] = true;
        for (unsigned i = 0; i < width; i++) {
            if (in[set[i]])
                continue;
            misses++;
            if (held == capacity) {
                unsigned far = 0;
                int v = -1;
                for (int id = 0; id < BLOCKS; id++) {
                    unsigned next = t + 1;
                    if (!in[id] || wanted[id])
                        continue;
                    for (bool found = false; next < tokens && !found; next += !found)
                        for (unsigned k = 0; k < width; k++)
                            found |= trace[(size_t)next * width + k] == (uint32_t)id;
                    if (v < 0 || next > far) {
                        v = id;
                        far = next;
                    }
                }
                in[v] = false;
                held--;
            }
            in[set[i]] = true;
            held++;
        }
    }
    return misses;
}

static void policies_keep_their_books(void **state)
{
    enum { TOKENS = 60, WIDTH = 12 };
    uint32_t trace[TOKENS * WIDTH];
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        make_trace(trace, TOKENS, WIDTH, seed);
        for (uint32_t cap = WIDTH; cap <= BLOCKS; cap += 4) {
            unsigned best = optimum(trace, TOKENS, WIDTH, cap);
            for (const struct m2c_plugin *const *p = m2c_policy_list(); *p; p++)
                assert_true(replay((*p)->name, trace, TOKENS, WIDTH, cap) >= best);
            assert_int_equal(replay("lru", trace, TOKENS, WIDTH, cap),
                             twin_lru(trace, TOKENS, WIDTH, cap));
        }
    }
}

/* With a unit of exactly one token's set the paper's ATU replaces what
 * differs and nothing else: misses are |set(t) \ set(t-1)|, whatever the
 * policy calls itself. */
static void a_unit_of_one_set_replaces_the_difference(void **state)
{
    enum { TOKENS = 80, WIDTH = 16 };
    uint32_t trace[TOKENS * WIDTH];
    unsigned want = WIDTH;
    (void)state;
    make_trace(trace, TOKENS, WIDTH, 99);
    for (unsigned t = 1; t < TOKENS; t++) {
        for (unsigned i = 0; i < WIDTH; i++) {
            bool stays = false;
            for (unsigned k = 0; k < WIDTH; k++)
                stays |= trace[(t - 1) * WIDTH + k] == trace[t * WIDTH + i];
            want += !stays;
        }
    }
    for (const struct m2c_plugin *const *p = m2c_policy_list(); *p; p++)
        assert_int_equal(replay((*p)->name, trace, TOKENS, WIDTH, WIDTH), want);
}

/* Counts on one fixed trace: a change of a policy shows as a reviewed diff.
 * They are printed ready to paste. */
static void golden_counts(void **state)
{
    static const struct {
        const char *name;
        unsigned misses[4];
    } golden[] = {
        {"atu", {851, 677, 533, 284}},
        {"lru", {851, 688, 525, 251}},
        {"random", {851, 710, 532, 310}},
    };
    enum { TOKENS = 200, WIDTH = 10 };
    static uint32_t trace[TOKENS * WIDTH];
    static const uint32_t caps[4] = {10, 16, 24, 40};
    (void)state;
    make_trace(trace, TOKENS, WIDTH, 2026);
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        unsigned got[4];
        for (int c = 0; c < 4; c++)
            got[c] = replay(golden[i].name, trace, TOKENS, WIDTH, caps[c]);
        print_message("{\"%s\", {%u, %u, %u, %u}},\n", golden[i].name, got[0], got[1], got[2],
                      got[3]);
        assert_memory_equal(got, golden[i].misses, sizeof got);
    }
}

static void all_pinned_gives_none(void **state)
{
    uint16_t pins[BLOCKS];
    struct m2c_err err = {0};
    (void)state;
    memset(pins, 1, sizeof pins);
    for (const struct m2c_plugin *const *l = m2c_policy_list(); *l; l++) {
        struct m2c_policy *p;
        assert_int_equal(m2c_policy_open(&p, (*l)->name, BLOCKS, 4, 1, &err), 0);
        assert_true(m2c_policy_victim(p, pins) == M2C_NO_BLOCK); /* empty */
        for (uint32_t id = 0; id < 4; id++) {
            struct m2c_access a = {.id = id};
            assert_true(m2c_policy_admit(p, &a));
            m2c_policy_insert(p, &a);
        }
        assert_true(m2c_policy_victim(p, pins) == M2C_NO_BLOCK);
        pins[2] = 0;
        assert_int_equal(m2c_policy_victim(p, pins), 2);
        pins[2] = 1;
        m2c_policy_clear(p);
        assert_int_equal(m2c_policy_resident(p), 0);
        assert_true(m2c_policy_check(p));
        m2c_policy_close(p);
    }
    m2c_policy_close(NULL);
}

static void unknown_names_are_refused(void **state)
{
    struct m2c_policy *p;
    struct m2c_err err = {0};
    (void)state;
    assert_int_equal(m2c_policy_open(&p, "lrru", BLOCKS, 4, 1, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "did you mean 'lru'"));
    assert_int_equal(
        m2c_plugin_check((const void *const *)(const void *)m2c_policy_list(), "policy", &err),
        0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_keep_their_books),
        cmocka_unit_test(a_unit_of_one_set_replaces_the_difference),
        cmocka_unit_test(golden_counts),
        cmocka_unit_test(all_pinned_gives_none),
        cmocka_unit_test(unknown_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
