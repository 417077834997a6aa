/* SPDX-License-Identifier: MIT */
/* Traces: what is recorded comes back, through our file and through others'; a
 * file that is cut short or damaged is refused in one line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "store/trace.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LAYERS = 3, N = 50, TOKENS = 7 };

static char path[64];

static struct m2c_trace *make(uint32_t neurons, uint64_t seed)
{
    struct m2c_layout layout;
    const uint32_t parts[M2C_LAYOUT_PARTS] = {40, 20, 10};
    struct m2c_want *w = calloc(neurons, sizeof *w);
    struct m2c_trace *t = NULL;
    struct m2c_rng r;
    m2c_rng_init(&r, seed, 0);
    assert_non_null(w);
    assert_int_equal(m2c_layout_find("copies", &layout, NULL), 0);
    assert_int_equal(m2c_trace_new(&t, LAYERS, neurons, &layout, parts), 0);
    t->model = (struct m2c_hash128){1, 2};
    snprintf(t->text, sizeof t->text, "a\ttext");
    snprintf(t->selector, sizeof t->selector, "oracle");
    for (unsigned i = 0; i < TOKENS * LAYERS; i++) {
        uint32_t n = 0;
        for (uint32_t id = 0; id < neurons; id++) {
            if (i != 4 && m2c_rng_below(&r, neurons) < N / 3) /* one list is empty */
                w[n++] = (struct m2c_want){
                    .id = id, .score = m2c_rng_normal(&r), .cls = m2c_rng_below(&r, 3)};
        }
        assert_int_equal(m2c_trace_add(t, i % LAYERS, w, n), 0);
    }
    free(w);
    return t;
}

static void same(const struct m2c_trace *a, const struct m2c_trace *b)
{
    assert_true(a->layers == b->layers && a->neurons == b->neurons && a->n == b->n &&
                a->tokens == b->tokens && a->n_classes == b->n_classes);
    assert_true(m2c_hash_equal(a->model, b->model));
    assert_string_equal(a->selector, b->selector);
    assert_memory_equal(a->cls, b->cls, sizeof a->cls);
    assert_memory_equal(a->part_bytes, b->part_bytes, sizeof a->part_bytes);
    assert_memory_equal(a->begin, b->begin, (a->tokens * a->layers + 1) * 8);
    assert_memory_equal(a->scale, b->scale, a->tokens * a->layers * sizeof(float));
    assert_memory_equal(a->id, b->id, a->n * sizeof *a->id);
    assert_memory_equal(a->of_class, b->of_class, a->n);
    assert_memory_equal(a->score, b->score, a->n);
}

static void it_comes_back(void **state)
{
    static const uint32_t sizes[] = {N, 65535, 65536};
    (void)state;
    for (size_t i = 0; i < M2C_COUNTOF(sizes); i++) {
        struct m2c_trace *t = make(sizes[i], i), *back = NULL;
        struct m2c_err err = {0};
        assert_int_equal(m2c_trace_write(t, path, &err), 0);
        assert_true(m2c_trace_sniff(path));
        assert_int_equal(m2c_trace_read(&back, path, &err), 0);
        same(t, back);
        assert_string_equal(back->text, "a?text");
        m2c_trace_free(back);
        m2c_trace_free(t);
    }
    assert_int_equal(
        m2c_trace_class_bytes(
            &(struct m2c_trace){.n_parts = 3, .cls = {{"x", 5}}, .part_bytes = {1, 2, 4}},
            0),
        5);
}

/* Scores are within half a step of 255, and nothing below 0 is kept. */
static void scores_are_close(void **state)
{
    const struct m2c_want w[4] = {{1, 8, 0}, {2, 3, 1}, {3, -5, 2}, {9, 0, 0}};
    const float want[4] = {8, 3, 0, 0};
    struct m2c_trace *t = make(N, 1);
    (void)state;
    assert_int_equal(m2c_trace_add(t, 0, w, 4), 0);
    uint64_t list = TOKENS * LAYERS, at = t->begin[list];
    for (uint64_t i = 0; i < 4; i++)
        assert_true(fabsf(m2c_trace_score(t, list, at + i) - want[i]) <= 8.0f / 510);
    m2c_trace_free(t);
}

static void next_uses_are_the_next_uses(void **state)
{
    struct m2c_trace *t = make(N, 3);
    uint32_t *next;
    (void)state;
    assert_int_equal(m2c_trace_next(t, &next), 0);
    for (uint64_t l = 0; l < TOKENS * LAYERS; l++) {
        for (uint64_t i = t->begin[l]; i < t->begin[l + 1]; i++) {
            uint32_t want = UINT32_MAX;
            for (uint64_t m = l + LAYERS; m < TOKENS * LAYERS && want == UINT32_MAX;
                 m += LAYERS)
                for (uint64_t k = t->begin[m]; k < t->begin[m + 1]; k++)
                    want = t->id[k] == t->id[i] ? (uint32_t)k : want;
            assert_int_equal(next[i], want);
        }
    }
    free(next);
    m2c_trace_free(t);
}

static uint8_t *slurp(const char *name, size_t *n)
{
    FILE *f = fopen(name, "rb");
    assert_true(f && fseek(f, 0, SEEK_END) == 0);
    *n = (size_t)ftell(f);
    uint8_t *b = malloc(*n + 1);
    rewind(f);
    assert_true(b && fread(b, 1, *n, f) == *n);
    fclose(f);
    return b;
}

static void spill(const char *name, const uint8_t *b, size_t n)
{
    FILE *f = fopen(name, "wb");
    assert_true(f && fwrite(b, 1, n, f) == n && fclose(f) == 0);
}

static void refused(int r, const struct m2c_trace *t, const struct m2c_err *err)
{
    assert_true(r == -EINVAL || r == -EIO);
    assert_null(t);
    assert_true(strstr(err->msg, path) && !strchr(err->msg, '\n'));
}

static void damage_is_found(void **state)
{
    struct m2c_trace *t = make(N, 5);
    struct m2c_err err = {0};
    size_t n;
    (void)state;
    assert_int_equal(m2c_trace_write(t, path, &err), 0);
    m2c_trace_free(t);
    uint8_t *b = slurp(path, &n);
    for (size_t cut = 0; cut < n; cut += cut < 300 ? 7 : 311) {
        t = NULL;
        spill(path, b, cut);
        refused(m2c_trace_read(&t, path, &err), t, &err);
    }
    for (size_t at = 0; at < n; at += 59) {
        t = NULL;
        b[at] ^= 4;
        spill(path, b, n);
        refused(m2c_trace_read(&t, path, &err), t, &err);
        b[at] ^= 4;
    }
    free(b);
    assert_int_equal(m2c_trace_read(&t, "/nonexistent", &err), -ENOENT);
}

static void nothing_is_not_written(void **state)
{
    struct m2c_layout layout;
    const uint32_t parts[M2C_LAYOUT_PARTS] = {1, 1, 1};
    struct m2c_trace *t;
    struct m2c_err err = {0};
    (void)state;
    unlink(path);
    assert_int_equal(m2c_layout_find("copies", &layout, NULL), 0);
    assert_int_equal(m2c_trace_new(&t, LAYERS, N, &layout, parts), 0);
    assert_int_equal(m2c_trace_write(t, path, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "nothing was recorded"));
    assert_int_equal(access(path, F_OK), -1);
    m2c_trace_free(t);
}

static void oracle_general_comes_back(void **state)
{
    struct m2c_trace *t = make(N, 9), *back = NULL;
    struct m2c_err err = {0};
    size_t n;
    (void)state;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(m2c_trace_oracle(t, true, f, path, &err), 0);
    fclose(f);
    assert_false(m2c_trace_sniff(path));
    assert_int_equal(m2c_trace_read_oracle(&back, path, &err), 0);
    assert_true(back->n == t->n && back->tokens == t->n && back->layers == 1);
    uint32_t name[LAYERS * N], fresh = 0;
    memset(name, 0xff, sizeof name);
    for (uint64_t l = 0; l < TOKENS * LAYERS; l++) {
        for (uint64_t i = t->begin[l]; i < t->begin[l + 1]; i++) {
            uint32_t *id = &name[l % LAYERS * N + t->id[i]];
            *id = *id == UINT32_MAX ? fresh++ : *id;
            assert_int_equal(back->id[i], *id);
            assert_int_equal(back->bytes[i], m2c_trace_class_bytes(t, t->of_class[i]));
        }
    }
    assert_int_equal(back->neurons, fresh);
    m2c_trace_free(back);
    uint8_t *b = slurp(path, &n);
    for (size_t cut = n - 30; cut < n; cut++) {
        back = NULL;
        spill(path, b, cut);
        int r = m2c_trace_read_oracle(&back, path, &err);
        if (cut % 24 == 0) { /* whole records: nobody could know */
            assert_int_equal(r, 0);
            m2c_trace_free(back);
        } else {
            refused(r, back, &err);
            assert_non_null(strstr(err.msg, "cut short"));
        }
    }
    memset(b + 24 * 3 + 12, 0, 4);
    spill(path, b, n);
    back = NULL;
    refused(m2c_trace_read_oracle(&back, path, &err), back, &err);
    assert_non_null(strstr(err.msg, "record 3"));
    spill(path, b, 0);
    refused(m2c_trace_read_oracle(&back, path, &err), back, &err);
    free(b);
    m2c_trace_free(t);
}

static void csv_says_the_same(void **state)
{
    struct m2c_trace *t = make(N, 11);
    struct m2c_err err = {0};
    uint32_t *next;
    char line[128];
    (void)state;
    assert_int_equal(m2c_trace_next(t, &next), 0);
    FILE *f = fopen(path, "w+");
    assert_non_null(f);
    assert_int_equal(m2c_trace_csv(t, false, f, path, &err), 0);
    rewind(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_string_equal(line, "time,obj_id,obj_size,next_access_vtime\n");
    for (uint64_t l = 0; l < TOKENS * LAYERS; l++) {
        for (uint64_t i = t->begin[l]; i < t->begin[l + 1]; i++) {
            char want[128];
            snprintf(want, sizeof want, "%llu,%llu,1,%lld\n",
                     (unsigned long long)(l / LAYERS),
                     (unsigned long long)(l % LAYERS * N + t->id[i]),
                     next[i] == UINT32_MAX ? -1LL : (long long)next[i] + 1);
            assert_non_null(fgets(line, sizeof line, f));
            assert_string_equal(line, want);
        }
    }
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
    free(next);
    m2c_trace_free(t);
    f = fopen("/dev/full", "w");
    t = make(N, 11);
    if (f) {
        assert_int_equal(m2c_trace_csv(t, false, f, path, &err), -ENOSPC);
        fclose(f);
    }
    m2c_trace_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back),
        cmocka_unit_test(scores_are_close),
        cmocka_unit_test(next_uses_are_the_next_uses),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(nothing_is_not_written),
        cmocka_unit_test(oracle_general_comes_back),
        cmocka_unit_test(csv_says_the_same),
    };
    snprintf(path, sizeof path, "/tmp/test-trace-%ld.h5", (long)getpid());
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return r;
}
