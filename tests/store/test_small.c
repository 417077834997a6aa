/* SPDX-License-Identifier: MIT */
/* Rank files and results.h5: what is written comes back, other models' and
 * damaged files are refused, and a file is whole under its name or absent. */
#include "store/synth.h"

#include "base/rng.h"
#include "store/rank.h"
#include "store/results.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LAYERS = 3, N = 70 };
static const struct m2c_hash128 model = {1, 2}, order = {3, 4}, other = {1, 3};

static struct m2c_rank *make_rank(uint64_t seed)
{
    struct m2c_rank *r = NULL;
    struct m2c_rng g;
    m2c_rng_init(&g, seed, 0);
    assert_int_equal(m2c_rank_new(&r, LAYERS, N), 0);
    r->model = model;
    r->order = order;
    r->tokens = 12345678901;
    snprintf(r->text, sizeof r->text, "tales.txt");
    for (uint32_t l = 0; l < LAYERS; l++) {
        for (uint32_t i = 0; i < N; i++) {
            /* Few values, so that there are ties of both kinds. */
            r->layer[l].freq[i] = (float)m2c_rng_below(&g, 4) / 4;
            r->layer[l].mean[i] = (float)m2c_rng_below(&g, 3);
            r->layer[l].m2[i] = m2c_rng_normal(&g);
        }
    }
    assert_int_equal(m2c_rank_sort(r), 0);
    return r;
}

static void same_rank(const struct m2c_rank *a, const struct m2c_rank *b)
{
    assert_true(m2c_hash_equal(a->model, b->model) && m2c_hash_equal(a->order, b->order));
    assert_int_equal(a->tokens, b->tokens);
    assert_string_equal(a->text, b->text);
    for (uint32_t l = 0; l < LAYERS; l++) {
        assert_memory_equal(a->layer[l].freq, b->layer[l].freq, N * 4);
        assert_memory_equal(a->layer[l].mean, b->layer[l].mean, N * 4);
        assert_memory_equal(a->layer[l].m2, b->layer[l].m2, N * 4);
        assert_memory_equal(a->layer[l].order, b->layer[l].order, N * 4);
    }
}

static void test_sort(void **state)
{
    (void)state;
    struct m2c_rank *r = make_rank(1);
    for (uint32_t l = 0; l < LAYERS; l++) {
        const struct m2c_rank_layer *y = &r->layer[l];
        bool seen[N] = {false};
        for (uint32_t k = 0; k < N; k++) {
            uint32_t a = y->order[k], b = k + 1 < N ? y->order[k + 1] : a;
            assert_true(a < N && !seen[a]);
            seen[a] = true;
            bool ok = y->freq[a] > y->freq[b] ||
                      (y->freq[a] == y->freq[b] && y->mean[a] > y->mean[b]) ||
                      (y->freq[a] == y->freq[b] && y->mean[a] == y->mean[b] && a <= b);
            assert_true(ok);
        }
    }
    m2c_rank_free(r);
}

static void test_rank(void **state)
{
    (void)state;
    struct m2c_rank *r = make_rank(1), *back = NULL;
    struct m2c_err err = {0};
    const char *a = synth_path("a.rank.h5"), *b = synth_path("b.rank.h5");
    assert_int_equal(m2c_rank_write(r, a, &err), 0);
    assert_int_equal(m2c_rank_read(&back, a, model, LAYERS, N, &err), 0);
    same_rank(r, back);
    m2c_rank_free(back);
    back = NULL;
    assert_int_equal(m2c_rank_read(&back, a, other, LAYERS, N, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "another model"));
    assert_int_equal(m2c_rank_read(&back, a, model, LAYERS + 1, N, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "the model has 4 of 70"));
    assert_int_equal(m2c_rank_read(&back, a, model, LAYERS, N - 1, &err), -EINVAL);
    assert_null(back);
    /* Equal content, equal bytes; an existing file is replaced. */
    size_t na, nb;
    synth_spew(b, "old", 3);
    assert_int_equal(m2c_rank_write(r, b, &err), 0);
    uint8_t *x = synth_slurp(a, &na), *y = synth_slurp(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    assert_int_equal(synth_files(".part"), 0);
    free(y);
    free(x);
    m2c_rank_free(r);
}

/* Figures that no measurement gives. */
static void test_rank_values(void **state)
{
    (void)state;
    const char *p = synth_path("v.rank.h5");
    struct m2c_err err = {0};
    for (int i = 0; i < 7; i++) {
        struct m2c_rank *r = make_rank(2), *back = NULL;
        struct m2c_rank_layer *y = &r->layer[1];
        float *figures[] = {&y->freq[5], &y->freq[6], &y->freq[7], &y->mean[8],
                            &y->m2[9]};
        const float values[] = {-0.25f, 1.5f, NAN, INFINITY, -INFINITY};
        if (i < 5)
            *figures[i] = values[i];
        else
            y->order[3] = i == 5 ? N : y->order[4];
        assert_int_equal(m2c_rank_write(r, p, NULL), 0);
        assert_int_equal(m2c_rank_read(&back, p, model, LAYERS, N, &err), -EINVAL);
        assert_non_null(strstr(err.msg, "/layers/1"));
        assert_null(back);
        m2c_rank_free(r);
    }
}

/* Wherever a bit flips, the file is refused. */
static void test_rank_damage(void **state)
{
    (void)state;
    struct m2c_rank *r = make_rank(1);
    const char *p = synth_path("d.rank.h5");
    struct m2c_rng g;
    size_t n;
    m2c_rng_init(&g, 4, 0);
    assert_int_equal(m2c_rank_write(r, p, NULL), 0);
    uint8_t *data = synth_slurp(p, &n);
    int fd = open(p, O_WRONLY);
    assert_true(fd >= 0);
    for (int i = 0; i < 1500; i++) {
        struct m2c_rank *back = NULL;
        struct m2c_err err = {0};
        size_t at = m2c_rng_below(&g, (uint32_t)n);
        uint8_t bad = data[at] ^ (uint8_t)(1u << m2c_rng_below(&g, 8));
        assert_int_equal(pwrite(fd, &bad, 1, (off_t)at), 1);
        int rc = m2c_rank_read(&back, p, model, LAYERS, N, &err);
        assert_int_equal(pwrite(fd, &data[at], 1, (off_t)at), 1);
        assert_int_equal(rc, -EINVAL);
        assert_true(strstr(err.msg, p) && !strchr(err.msg, '\n'));
    }
    close(fd);
    for (int i = 0; i < 100; i++) {
        struct m2c_rank *back = NULL;
        synth_spew(p, data, m2c_rng_below(&g, (uint32_t)n));
        assert_int_equal(m2c_rank_read(&back, p, model, LAYERS, N, NULL), -EINVAL);
    }
    free(data);
    m2c_rank_free(r);
}

static void test_rank_foreign(void **state)
{
    (void)state;
    const char *p = synth_path("f.rank.h5");
    struct m2c_rank *back = NULL;
    struct m2c_results *t;
    struct m2c_err err = {0};
    assert_int_equal(m2c_rank_read(&back, synth_path("absent"), model, 1, 1, &err),
                     -ENOENT);
    assert_non_null(strstr(err.msg, "absent"));
    synth_spew(p, "once upon a time", 16);
    assert_int_equal(m2c_rank_read(&back, p, model, 1, 1, &err), -EINVAL);
    assert_int_equal(m2c_results_open(&t, p, NULL), 0);
    assert_int_equal(m2c_results_commit(t, NULL), 0);
    m2c_results_close(t);
    assert_int_equal(m2c_rank_read(&back, p, model, 1, 1, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "not a rank file"));
    struct m2c_rank *r = make_rank(1);
    assert_true(m2c_rank_write(r, synth_path("no/such/x.h5"), &err) < 0);
    assert_non_null(strstr(err.msg, "No such file"));
    m2c_rank_free(r);
    m2c_rank_free(NULL);
}

static void test_results(void **state)
{
    (void)state;
    const char *p = synth_path("results.h5");
    const double col[3] = {1, NAN, 3}, samples[2] = {5, 6};
    const char *const names[3] = {"a", "", "gr\xc3\xbc\xc3\x9f"};
    struct m2c_results *t = NULL;
    struct m2c_err err = {0};
    synth_spew(p, "old", 3);
    for (int commit = 0; commit < 2; commit++) {
        assert_int_equal(m2c_results_open(&t, p, &err), 0);
        assert_int_equal(m2c_results_numbers(t, "ttft", 3, col, &err), 0);
        assert_int_equal(m2c_results_strings(t, "policy", 3, names, &err), 0);
        assert_int_equal(m2c_results_samples(t, 1, "token_s", 2, samples, &err), 0);
        assert_int_equal(m2c_results_samples(t, 1, "none", 0, samples, &err), 0);
        assert_int_equal(m2c_results_strings(t, "policy", 3, names, &err), -EIO);
        assert_non_null(strstr(err.msg, "policy"));
        assert_int_equal(synth_files("results.h5.part"), 1);
        if (commit)
            assert_int_equal(m2c_results_commit(t, &err), 0);
        m2c_results_close(t);
        assert_int_equal(synth_files(".part"), 0);
        size_t n;
        free(synth_slurp(p, &n));
        assert_true(commit ? n > 1000 : n == 3);
    }
    assert_true(m2c_results_open(&t, synth_path("no/such/x.h5"), &err) < 0);
    assert_non_null(strstr(err.msg, "No such file"));
    m2c_results_close(NULL);
}

/* For oracle.py, which reads both with h5py. */
static int write_results(const char *path)
{
    const double col[3] = {1, NAN, 3}, samples[2] = {5, 6};
    const char *const names[3] = {"a", "", "gr\xc3\xbc\xc3\x9f"};
    struct m2c_results *t = NULL;
    if (m2c_results_open(&t, path, NULL))
        return 1;
    int rc = m2c_results_numbers(t, "ttft", 3, col, NULL);
    if (!rc)
        rc = m2c_results_strings(t, "policy", 3, names, NULL);
    if (!rc)
        rc = m2c_results_samples(t, 1, "token_s", 2, samples, NULL);
    if (!rc)
        rc = m2c_results_commit(t, NULL);
    m2c_results_close(t);
    return rc != 0;
}

static int write_rank(const char *path)
{
    struct m2c_rank *r = make_rank(1);
    int rc = m2c_rank_write(r, path, NULL);
    m2c_rank_free(r);
    return rc != 0;
}

static int teardown(void **state)
{
    (void)state;
    synth_clean();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--results") == 0)
        return write_results(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--rank") == 0)
        return write_rank(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),         cmocka_unit_test(test_rank),
        cmocka_unit_test(test_rank_values),  cmocka_unit_test(test_rank_damage),
        cmocka_unit_test(test_rank_foreign), cmocka_unit_test(test_results),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
