/* SPDX-License-Identifier: MIT */
/* Every policy: bookkeeping after each access, pins, memory, misses against
 * brute-force twins and against the optimum on small random traces, golden
 * counts on a fixed one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "exp/settings.h"
#include "policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 64 };

/* Hottest first, for the policies that want to be told. */
static uint32_t hot_first[BLOCKS];

static struct m2c_policy *open_policy(const char *name, uint32_t capacity)
{
    struct m2c_policy *p;
    struct m2c_err err = {0};
    for (uint32_t i = 0; i < BLOCKS; i++)
        hot_first[i] = i;
    struct m2c_policy_cfg cfg = {.n_blocks = BLOCKS,
                                 .capacity = capacity,
                                 .seed = 7,
                                 .order = hot_first,
                                 .future = true};
    assert_int_equal(m2c_policy_open(&p, name, &cfg, &err), 0);
    return p;
}

/* The next token after t that wants id; UINT64_MAX: none. */
static uint64_t next_use(const uint32_t *trace, unsigned tokens, unsigned width,
                         unsigned t, uint32_t id)
{
    while (++t < tokens) {
        for (unsigned k = 0; k < width; k++) {
            if (trace[(size_t)t * width + k] == id)
                return t;
        }
    }
    return UINT64_MAX;
}

struct pool {
    struct m2c_policy *p;
    uint16_t pins[BLOCKS];
    bool in[BLOCKS];
    uint32_t capacity;
    unsigned misses;
};

static void take_out(struct pool *c, uint32_t id)
{
    assert_true(id < BLOCKS && c->in[id]);
    m2c_policy_remove(c->p, id);
    c->in[id] = false;
}

/* What a cache does for one miss; `bypass`: the policy may refuse. */
static void miss(struct pool *c, const struct m2c_access *a, bool bound, bool bypass)
{
    c->misses++;
    if (!m2c_policy_admit(c->p, a) && bypass)
        return;
    if (m2c_policy_resident(c->p) == c->capacity) {
        uint32_t before = m2c_policy_resident(c->p), v = m2c_policy_victim(c->p, c->pins);
        assert_true(v < BLOCKS && c->in[v] && (bound || !c->pins[v]));
        assert_int_equal(m2c_policy_resident(c->p), before); /* chose, did not act */
        assert_true(m2c_policy_check(c->p));
        take_out(c, v);
    }
    m2c_policy_insert(c->p, a);
    c->in[a->id] = true;
    assert_true(m2c_policy_resident(c->p) <= c->capacity && m2c_policy_check(c->p));
}

/* One token's wants: a set, pinned together; `trace` is tokens of `width`
 * ascending ids. Returns the misses. */
static unsigned replay(const char *name, const uint32_t *trace, unsigned tokens,
                       unsigned width, uint32_t capacity, bool bypass)
{
    struct pool c = {.p = open_policy(name, capacity), .capacity = capacity};
    bool bound = m2c_policy_is_bound(name);
    for (unsigned t = 0; t < tokens; t++) {
        const uint32_t *set = trace + (size_t)t * width;
        struct m2c_access a[BLOCKS];
        for (uint32_t id; (id = m2c_policy_expired(c.p, t)) != M2C_NO_BLOCK;)
            take_out(&c, id);
        for (unsigned i = 0; i < width; i++) {
            a[i] = (struct m2c_access){.id = set[i],
                                       .now = t,
                                       .score = (float)(1 + set[i] % 5),
                                       .next = next_use(trace, tokens, width, t, set[i])};
            c.pins[set[i]] = 1;
            if (c.in[set[i]])
                m2c_policy_hit(c.p, &a[i]);
            assert_true(m2c_policy_check(c.p));
        }
        bool was_in[BLOCKS];
        memcpy(was_in, c.in, sizeof was_in);
        for (unsigned i = 0; i < width; i++) {
            if (!was_in[set[i]])
                miss(&c, &a[i], bound, bypass);
        }
        memset(c.pins, 0, sizeof c.pins);
    }
    m2c_policy_close(c.p);
    return c.misses;
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
                assert_true(m2c_policy_is_bound((*p)->name) ||
                            replay((*p)->name, trace, TOKENS, WIDTH, cap, false) >= best);
            assert_int_equal(replay("lru", trace, TOKENS, WIDTH, cap, false),
                             twin_lru(trace, TOKENS, WIDTH, cap));
            assert_int_equal(replay("belady", trace, TOKENS, WIDTH, cap, false), best);
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
    for (const struct m2c_plugin *const *p = m2c_policy_list(); *p; p++) {
        bool caches = strcmp((*p)->name, "none") != 0;
        if (!m2c_policy_is_bound((*p)->name))
            assert_int_equal(replay((*p)->name, trace, TOKENS, WIDTH, WIDTH, false),
                             caches ? want : TOKENS * WIDTH);
    }
}

/* Counts on one fixed trace: a change of a policy shows as a reviewed diff.
 * They are printed ready to paste. */
static void golden_counts(void **state)
{
    static const struct {
        const char *name;
        unsigned misses[4];
    } golden[] = {
        {"atu", {851, 677, 533, 284}},     {"lru", {851, 688, 525, 251}},
        {"random", {851, 710, 532, 310}},  {"fifo", {851, 701, 557, 303}},
        {"clock", {851, 688, 520, 267}},   {"sieve", {851, 683, 496, 239}},
        {"lfu", {851, 647, 428, 241}},     {"lfuda", {851, 662, 407, 246}},
        {"2q", {851, 648, 491, 261}},      {"arc", {851, 699, 510, 250}},
        {"s3-fifo", {851, 665, 450, 249}}, {"w-tinylfu", {851, 675, 488, 245}},
        {"gdsf", {851, 653, 412, 254}},    {"score", {851, 649, 487, 249}},
        {"none", {2000, 2000, 2000, 2000}},
        {"window", {851, 688, 540, 519}},  {"static", {1336, 891, 744, 441}},
        {"belady", {851, 479, 297, 132}},  {"min", {623, 426, 273, 129}},
    };
    enum { TOKENS = 200, WIDTH = 10 };
    static uint32_t trace[TOKENS * WIDTH];
    static const uint32_t caps[4] = {10, 16, 24, 40};
    (void)state;
    make_trace(trace, TOKENS, WIDTH, 2026);
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        unsigned got[4];
        for (int c = 0; c < 4; c++)
            got[c] = replay(golden[i].name, trace, TOKENS, WIDTH, caps[c], true);
        print_message("{\"%s\", {%u, %u, %u, %u}},\n", golden[i].name, got[0], got[1],
                      got[2], got[3]);
        assert_memory_equal(got, golden[i].misses, sizeof got);
    }
}

static void all_pinned_gives_none(void **state)
{
    uint16_t pins[BLOCKS];
    (void)state;
    for (const struct m2c_plugin *const *l = m2c_policy_list(); *l; l++) {
        struct m2c_policy *p = open_policy((*l)->name, 4);
        memset(pins, 1, sizeof pins);
        assert_true(m2c_policy_victim(p, pins) == M2C_NO_BLOCK); /* empty */
        for (uint32_t id = 0; id < 4; id++) {
            struct m2c_access a = {.id = id, .next = id};
            assert_true(m2c_policy_admit(p, &a));
            m2c_policy_insert(p, &a);
        }
        if (!m2c_policy_is_bound((*l)->name)) {
            assert_true(m2c_policy_victim(p, pins) == M2C_NO_BLOCK);
            for (uint32_t id = 0; id < 4; id++) {
                pins[id] = 0;
                assert_int_equal(m2c_policy_victim(p, pins), id);
                assert_true(m2c_policy_check(p));
                pins[id] = 1;
            }
        }
        m2c_policy_clear(p);
        assert_int_equal(m2c_policy_resident(p), 0);
        assert_true(m2c_policy_check(p));
        m2c_policy_close(p);
    }
    m2c_policy_close(NULL);
}

/* Anything a cache may do, in any order: pins that come and go, victims that
 * are asked for and left alone, blocks that leave for reasons of their own. */
static void anything_goes(void **state)
{
    enum { CAP = 12 };
    struct m2c_rng r;
    (void)state;
    m2c_rng_init(&r, 4, 0);
    for (const struct m2c_plugin *const *l = m2c_policy_list(); *l; l++) {
        struct pool c = {.p = open_policy((*l)->name, CAP), .capacity = CAP};
        bool bound = m2c_policy_is_bound((*l)->name);
        for (unsigned step = 0; step < 20000; step++) {
            uint32_t id = m2c_rng_below(&r, BLOCKS);
            struct m2c_access a = {.id = id,
                                   .now = step / 7,
                                   .score = (float)m2c_rng_below(&r, 3),
                                   .bytes = m2c_rng_below(&r, 3),
                                   .next = step + m2c_rng_below(&r, 100)};
            switch (m2c_rng_below(&r, 6)) {
            case 0: /* some pins, never all of the pool */
                memset(c.pins, 0, sizeof c.pins);
                for (unsigned k = m2c_rng_below(&r, CAP); k; k--)
                    c.pins[m2c_rng_below(&r, BLOCKS)] = 1;
                break;
            case 1:
                if (c.in[id] && !c.pins[id])
                    take_out(&c, id);
                break;
            case 2:
                (void)m2c_policy_victim(c.p, m2c_rng_below(&r, 2) ? c.pins : NULL);
                break;
            default:
                if (c.in[id])
                    m2c_policy_hit(c.p, &a);
                else
                    miss(&c, &a, bound, m2c_rng_below(&r, 2));
            }
            assert_true(m2c_policy_check(c.p));
        }
        m2c_policy_close(c.p);
    }
}

/* SIEVE and CLOCK told as a picture: a list, oldest first, with marks. */
static unsigned twin_marks(const uint32_t *ids, unsigned n, uint32_t capacity, bool sieve)
{
    uint32_t list[BLOCKS + 1];
    bool mark[BLOCKS] = {0};
    unsigned len = 0, hand = 0, misses = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned at = 0;
        while (at < len && list[at] != ids[i])
            at++;
        if (at < len) {
            mark[ids[i]] = true;
            continue;
        }
        misses++;
        if (len == capacity) {
            hand = sieve && hand < len ? hand : 0;
            while (mark[list[hand]]) {
                uint32_t passed = list[hand];
                mark[passed] = false;
                if (sieve) {
                    hand = (hand + 1) % len;
                } else { /* to the young end */
                    memmove(list, list + 1, (len - 1) * sizeof *list);
                    list[len - 1] = passed;
                }
            }
            len--;
            memmove(list + hand, list + hand + 1, (len - hand) * sizeof *list);
            /* who comes in now is behind the hand even where the hand is past the end */
            hand = hand == len ? UINT32_MAX : hand;
        }
        list[len++] = ids[i];
        mark[ids[i]] = false;
    }
    return misses;
}

/* One access at a time, nothing pinned. */
static unsigned replay_seq(const char *name, const uint32_t *ids, unsigned n,
                           uint32_t capacity)
{
    struct pool c = {.p = open_policy(name, capacity), .capacity = capacity};
    for (unsigned i = 0; i < n; i++) {
        struct m2c_access a = {.id = ids[i], .now = i, .score = 1};
        a.next = next_use(ids, n, 1, i, ids[i]);
        if (c.in[ids[i]])
            m2c_policy_hit(c.p, &a);
        else
            miss(&c, &a, true, true);
        assert_true(m2c_policy_check(c.p));
    }
    m2c_policy_close(c.p);
    return c.misses;
}

static void marks_are_as_in_the_picture(void **state)
{
    enum { N = 2000 };
    uint32_t ids[N];
    struct m2c_rng r;
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        m2c_rng_init(&r, seed, 3);
        for (unsigned i = 0; i < N; i++)
            ids[i] = m2c_rng_below(&r, m2c_rng_below(&r, 3) ? BLOCKS / 4 : BLOCKS);
        for (uint32_t cap = 2; cap < BLOCKS; cap += 9) {
            assert_int_equal(replay_seq("clock", ids, N, cap),
                             twin_marks(ids, N, cap, false));
            assert_int_equal(replay_seq("sieve", ids, N, cap),
                             twin_marks(ids, N, cap, true));
        }
    }
}

/* The fewest misses with bypass, over every content that a pool could have:
 * best[m] is the least so far that leaves the blocks of mask m resident. */
static unsigned fewest(const uint32_t *sets, unsigned n, unsigned blocks,
                       uint32_t capacity)
{
    enum { MASKS = 64 };
    unsigned best[MASKS], next[MASKS];
    for (unsigned m = 0; m < MASKS; m++)
        best[m] = m ? UINT32_MAX / 2 : 0;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned m = 0; m < MASKS; m++)
            next[m] = UINT32_MAX / 2;
        for (unsigned m = 0; m < 1u << blocks; m++) {
            unsigned cost = best[m] + (unsigned)__builtin_popcount(sets[i] & ~m);
            unsigned all = m | sets[i];
            for (unsigned k = all;; k = (k - 1) & all) { /* whatever stays of it */
                if ((uint32_t)__builtin_popcount(k) <= capacity && cost < next[k])
                    next[k] = cost;
                if (k == 0)
                    break;
            }
        }
        memcpy(best, next, sizeof best);
    }
    unsigned least = best[0];
    for (unsigned m = 1; m < MASKS; m++)
        least = M2C_MIN(least, best[m]);
    return least;
}

/* `min` on sets and on single accesses is what trying everything finds, and no
 * policy is better, whether it may bypass or not. */
static void min_is_the_minimum(void **state)
{
    enum { N = 14, IDS = 6 };
    struct m2c_rng r;
    (void)state;
    m2c_rng_init(&r, 77, 0);
    for (int round = 0; round < 150; round++) {
        unsigned width = 1 + m2c_rng_below(&r, 3);
        uint32_t trace[N * 3], sets[N];
        for (unsigned t = 0; t < N; t++) {
            sets[t] = 0;
            while ((unsigned)__builtin_popcount(sets[t]) < width)
                sets[t] |= 1u << m2c_rng_below(&r, IDS);
            for (unsigned id = 0, at = 0; id < IDS; id++) {
                if (sets[t] >> id & 1)
                    trace[t * width + at++] = id;
            }
        }
        for (uint32_t cap = 1; cap <= IDS; cap++) {
            unsigned least = fewest(sets, N, IDS, cap);
            assert_int_equal(replay("min", trace, N, width, cap, true), least);
            for (const struct m2c_plugin *const *l = m2c_policy_list(); *l; l++) {
                if (cap >= width)
                    assert_true(replay((*l)->name, trace, N, width, cap, false) >= least);
                if (width == 1)
                    assert_true(replay_seq((*l)->name, trace, N, cap) >= least);
            }
        }
    }
}

static void static_keeps_the_hottest(void **state)
{
    enum { CAP = 8, N = 3000 };
    uint32_t ids[N];
    unsigned want = 0;
    bool seen[CAP] = {0};
    struct m2c_rng r;
    (void)state;
    m2c_rng_init(&r, 8, 0);
    for (unsigned i = 0; i < N; i++) {
        ids[i] = m2c_rng_below(&r, BLOCKS);
        want += ids[i] >= CAP || !seen[ids[i]];
        if (ids[i] < CAP)
            seen[ids[i]] = true;
    }
    assert_int_equal(replay_seq("static", ids, N, CAP), want);
}

/* The window deletes what five tokens have not used, though there is room. */
static void the_window_closes(void **state)
{
    (void)state;
    for (unsigned gap = 1; gap < 9; gap++) {
        uint32_t ids[10];
        for (unsigned i = 0; i < 10; i++)
            ids[i] = i % gap; /* each comes again after `gap` tokens */
        unsigned want = gap <= 5 ? gap : 10;
        assert_int_equal(replay("window", ids, 10, 1, BLOCKS, true), want);
    }
}

static void memory_is_bounded(void **state)
{
    enum { N = 352256 }; /* the neurons of a 7B model */
    uint32_t *order = calloc(N, sizeof *order);
    struct m2c_err err = {0};
    (void)state;
    assert_non_null(order);
    for (uint32_t i = 0; i < N; i++)
        order[i] = i;
    for (const struct m2c_plugin *const *l = m2c_policy_list(); *l; l++) {
        struct m2c_policy *p;
        struct m2c_policy_cfg cfg = {
            .n_blocks = N, .capacity = N, .order = order, .future = true};
        assert_int_equal(m2c_policy_open(&p, (*l)->name, &cfg, &err), 0);
        double per = (double)m2c_policy_bytes(p) / N;
        print_message("%-10s %5.2f bytes a neuron\n", (*l)->name, per);
        assert_true(per <= 32);
        m2c_policy_close(p);
    }
    free(order);
}

static void what_cannot_be_is_refused(void **state)
{
    struct m2c_policy *p;
    struct m2c_err err = {0};
    struct m2c_policy_cfg cfg = {.n_blocks = BLOCKS, .capacity = 4};
    (void)state;
    assert_int_equal(m2c_policy_open(&p, "lrru", &cfg, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "did you mean 'lru'"));
    assert_int_equal(m2c_policy_open(&p, "belady", &cfg, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "m2c replay"));
    assert_int_equal(m2c_policy_open(&p, "min", &cfg, &err), -EINVAL);
    assert_int_equal(m2c_policy_open(&p, "static", &cfg, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "rank file"));
    assert_int_equal(
        m2c_plugin_check((const void *const *)(const void *)m2c_policy_list(), "policy",
                         &err),
        0);
}

/* The config knows every policy by name. */
static void the_config_lists_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < m2c_settings_rows; i++) {
        const struct m2c_opt *o = &m2c_settings_table[i];
        if (strcmp(o->section, "hbm") != 0 || strcmp(o->key, "policy") != 0)
            continue;
        for (const struct m2c_plugin *const *l = m2c_policy_list(); *l; l++) {
            bool listed = false;
            for (const char *const *c = o->choices; *c; c++)
                listed |= strcmp(*c, (*l)->name) == 0;
            assert_true(listed);
        }
        return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_keep_their_books),
        cmocka_unit_test(a_unit_of_one_set_replaces_the_difference),
        cmocka_unit_test(golden_counts),
        cmocka_unit_test(all_pinned_gives_none),
        cmocka_unit_test(anything_goes),
        cmocka_unit_test(marks_are_as_in_the_picture),
        cmocka_unit_test(min_is_the_minimum),
        cmocka_unit_test(static_keeps_the_hottest),
        cmocka_unit_test(the_window_closes),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(the_config_lists_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
