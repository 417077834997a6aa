/* SPDX-License-Identifier: MIT */
/* Files that are no stores, and stores that something happened to: wherever a
 * bit flips, opening or verifying notices, and says where. */
#include "store/synth.h"

#include "base/rng.h"
#include "store/results.h"
#include "store/userblock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[160];
static uint8_t *whole;
static size_t whole_n;
static uint64_t head_n; /* bytes of the head */

static int setup(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(36, 5, 2, 9);
    struct m2c_import *im = synth_open(&c, 3, false);
    struct m2c_store_write_opts o = synth_opts(M2C_I8);
    struct m2c_err err = {0};
    o.tok_kind = "t";
    o.tok_bytes = "tokens";
    o.tok_n = 6;
    snprintf(path, sizeof path, "%s", synth_path("s.h5"));
    if (m2c_store_import(path, im, &o, NULL, &err))
        fail_msg("%s", err.msg);
    m2c_import_close(im);
    whole = synth_slurp(path, &whole_n);
    memcpy(&head_n, whole + 24, 8);
    assert_true(head_n > 4096 && head_n < whole_n);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(whole);
    synth_clean();
    return 0;
}

/* Opens what must be refused; the message is one line that names the file. */
static void refused(const char *file, int code, const char *word)
{
    struct m2c_store *s = NULL;
    struct m2c_err err = {0};
    int rc = m2c_store_open(&s, file, &err);
    if (rc != code || s)
        fail_msg("%s: %d, expected %d: %s", file, rc, code, err.msg);
    if (!strstr(err.msg, file) || strchr(err.msg, '\n') || !strstr(err.msg, word))
        fail_msg("not said: '%s' of %s in: %s", word, file, err.msg);
}

static void put_byte(int fd, size_t at, uint8_t value)
{
    assert_int_equal(pwrite(fd, &value, 1, (off_t)at), 1);
}

/* What a message says: "at offset N". */
static uint64_t offset_in(const char *msg)
{
    const char *p = strstr(msg, "at offset ");
    assert_non_null(p);
    return strtoull(p + strlen("at offset "), NULL, 10);
}

static void flip(int fd, size_t at, unsigned bit)
{
    put_byte(fd, at, whole[at] ^ (uint8_t)(1u << bit));
    if (at < head_n) {
        refused(path, -EINVAL, "");
    } else {
        struct m2c_store *s = NULL;
        struct m2c_err err = {0};
        uint64_t bad = 0;
        assert_int_equal(m2c_store_open(&s, path, &err), 0);
        if (m2c_store_verify(s, NULL, &bad, &err) != -EIO || bad != 1)
            fail_msg("byte %zu: %d bad, '%s'", at, (int)bad, err.msg);
        uint64_t from = offset_in(err.msg);
        assert_true(strstr(err.msg, path) && from <= at && at - from < 4096);
        m2c_store_close(s);
    }
    put_byte(fd, at, whole[at]);
}

static void test_flips(void **state)
{
    (void)state;
    struct m2c_rng r;
    m2c_rng_init(&r, 1, 0);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    for (size_t at = 0; at < 64; at++)
        flip(fd, at, (unsigned)at % 8);
    for (int i = 0; i < 2000; i++) {
        size_t n = i % 2 ? whole_n : head_n; /* the head as often as the rest */
        size_t at = m2c_rng_below(&r, (uint32_t)n);
        flip(fd, at, m2c_rng_below(&r, 8));
    }
    flip(fd, whole_n - 1, 0);
    close(fd);
}

/* Reads of one record and of one tensor see the same damage. */
static void test_check(void **state)
{
    (void)state;
    struct m2c_store *s = NULL;
    struct m2c_store_range range;
    struct m2c_err err = {0};
    uint8_t rec[4096], codes[4096], scales[256];
    char where[64];
    assert_int_equal(m2c_store_open(&s, path, &err), 0);
    m2c_store_extent(s, 1, 2, &range);
    assert_true(range.bytes <= sizeof rec);
    memcpy(rec, whole + range.offset, range.bytes);
    assert_int_equal(m2c_store_check(s, 1, 2, 0, 5, rec, &err), 0);
    assert_int_equal(m2c_store_check(s, 1, 2, 3, 2, rec + 3 * range.stride, &err), 0);
    /* The right bytes at another place are wrong. */
    assert_int_equal(m2c_store_check(s, 1, 2, 2, 1, rec + 3 * range.stride, &err), -EIO);
    rec[4 * range.stride - 1] ^= 1;
    assert_int_equal(m2c_store_check(s, 1, 2, 0, 5, rec, &err), -EIO);
    snprintf(where, sizeof where, "/ffn/1/i4 record 3 (%u bytes at offset %" PRIu64 ")",
             range.stride, range.offset + 3 * (uint64_t)range.stride);
    assert_non_null(strstr(err.msg, where));
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(m2c_store_check(s, 1, 2, 5, 1, rec, &err), -EINVAL);
    assert_int_equal(m2c_store_check(s, 1, 2, 4, UINT32_MAX, rec, &err), -EINVAL);
    assert_int_equal(m2c_store_read_dense(s, M2C_T_WQ, 0, codes, scales, &err), 0);
    assert_int_equal(m2c_store_read_dense(s, M2C_T_HEAD, 0, codes, scales, &err),
                     -ENOENT);
    assert_int_equal(m2c_store_read_dense(s, M2C_T_WQ, 2, codes, scales, &err), -ENOENT);
    assert_int_equal(m2c_store_read_dense(s, M2C_T_UP, 0, codes, scales, &err), -ENOENT);
    /* /dense/embed is the first dataset of the payload. */
    int fd = open(path, O_WRONLY);
    put_byte(fd, head_n + 1, whole[head_n + 1] ^ 4);
    assert_int_equal(m2c_store_read_dense(s, M2C_T_EMBED, 0, codes, scales, &err), -EIO);
    assert_non_null(strstr(err.msg, "/dense/embed block 0"));
    assert_int_equal(offset_in(err.msg), head_n);
    /* Several damaged blocks are all counted; the first is described. */
    put_byte(fd, range.offset, whole[range.offset] ^ 1);
    put_byte(fd, 5000, whole[5000] ^ 1);
    uint64_t bad = 0;
    assert_int_equal(m2c_store_verify(s, NULL, &bad, &err), -EIO);
    assert_int_equal(bad, 3);
    assert_non_null(strstr(err.msg, "digest"));
    /* A file that shrinks under an open store is an error, not a crash. */
    assert_int_equal(ftruncate(fd, (off_t)head_n), 0);
    assert_int_equal(m2c_store_read_dense(s, M2C_T_EMBED, 0, codes, scales, &err), -EIO);
    assert_non_null(strstr(err.msg, "ends at"));
    assert_int_equal(m2c_store_verify(s, NULL, &bad, &err), -EIO);
    close(fd);
    m2c_store_close(s);
    synth_spew(path, whole, whole_n);
}

static void test_lengths(void **state)
{
    (void)state;
    struct m2c_rng r;
    m2c_rng_init(&r, 2, 0);
    const char *cut = synth_path("cut.h5");
    for (int i = 0; i < 300; i++) {
        size_t n = i < 20 ? (size_t)i : m2c_rng_below(&r, (uint32_t)whole_n);
        if (i == 20)
            n = 4095;
        if (i == 21)
            n = 4096;
        if (i == 22)
            n = whole_n - 1;
        synth_spew(cut, whole, n);
        refused(cut, -EINVAL,
                n == 0  ? "empty"
                : n < 8 ? "not a model store"
                        : "truncated");
    }
    uint8_t *longer = malloc(whole_n + 1);
    assert_non_null(longer);
    memcpy(longer, whole, whole_n);
    longer[whole_n] = 0;
    synth_spew(cut, longer, whole_n + 1);
    refused(cut, -EINVAL, "1 bytes behind its end");
    free(longer);
}

static void test_foreign(void **state)
{
    (void)state;
    const char *p = synth_path("x");
    refused(synth_path("absent"), -ENOENT, "No such file");
    synth_spew(p, "once upon a time\n", 17);
    refused(p, -EINVAL, "not a model store");
    synth_spew(p, "", 0);
    refused(p, -EINVAL, "empty");
    uint8_t *zeros = calloc(1, 10000);
    assert_non_null(zeros);
    synth_spew(p, zeros, 10000);
    refused(p, -EINVAL, "not a model store");
    free(zeros);
    unlink(p);
    assert_int_equal(mkdir(p, 0700), 0);
    refused(p, -EINVAL, "directory");
    rmdir(p);
    assert_int_equal(mkfifo(p, 0600), 0);
    refused(p, -EINVAL, "special file");
    unlink(p);
    /* What is left of an import that was killed. */
    uint8_t *dead = malloc(whole_n);
    assert_non_null(dead);
    memcpy(dead, whole, whole_n);
    memset(dead, 0, 4096);
    synth_spew(p, dead, whole_n);
    free(dead);
    refused(p, -EINVAL, "never finished");
    /* A plain HDF5 file. */
    struct m2c_results *results;
    assert_int_equal(m2c_results_open(&results, p, NULL), 0);
    assert_int_equal(m2c_results_commit(results, NULL), 0);
    m2c_results_close(results);
    refused(p, -EINVAL, "an HDF5 file, but not a model store");
}

/* A version from the future is said to be one, and one of the past what to do
 * about it; a zero is damage or forgery. */
static void test_version(void **state)
{
    (void)state;
    const char *p = synth_path("v.h5");
    uint8_t block[4096];
    static const uint32_t versions[] = {0, 1, 3, UINT32_MAX};
    for (size_t i = 0; i < M2C_COUNTOF(versions); i++) {
        memcpy(block, whole, sizeof block);
        memcpy(block + 8, &versions[i], 4);
        uint64_t sum = m2c_hash64(block, 4088);
        memcpy(block + 4088, &sum, 8);
        synth_spew(p, whole, whole_n);
        int fd = open(p, O_WRONLY);
        assert_int_equal(pwrite(fd, block, sizeof block, 0), sizeof block);
        close(fd);
        refused(p, -EINVAL, "this m2c reads 2");
        if (versions[i] == 1)
            refused(p, -EINVAL, "make the file again with m2c import");
    }
}

/* Writes a u64 into the header of `p` and makes its sum right. */
static void poke_header(const char *p, size_t at, uint64_t value)
{
    uint8_t block[4096];
    int fd = open(p, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, block, sizeof block, 0), sizeof block);
    memcpy(block + at, &value, 8);
    uint64_t sum = m2c_hash64(block, 4088);
    memcpy(block + 4088, &sum, 8);
    assert_int_equal(pwrite(fd, block, sizeof block, 0), sizeof block);
    close(fd);
}

/* Lengths that a sealed header may claim. */
static void test_header_sizes(void **state)
{
    (void)state;
    const char *p = synth_path("z.h5");
    const uint64_t heads[] = {0,
                              4096,
                              head_n + 1,
                              head_n - 4096,
                              head_n + 4096,
                              whole_n / 4096 * 4096,
                              whole_n + 4096,
                              UINT64_MAX - 4095};
    uint64_t index_n;
    memcpy(&index_n, whole + 48, 8);
    for (size_t i = 0; i < M2C_COUNTOF(heads); i++) {
        uint64_t h = heads[i];
        struct m2c_userblock u = {.file_bytes = whole_n,
                                  .head_bytes = h > whole_n ? 4096 : h,
                                  .index_bytes = index_n};
        synth_spew(p, whole, whole_n);
        int fd = open(p, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(m2c_userblock_seal(fd, p, &m2c_kind_store, u, NULL), 0);
        close(fd);
        poke_header(p, 24, h);
        refused(p, -EINVAL, "");
    }
    const uint64_t sizes[] = {0, 1, index_n - 1, index_n + 1, 16 << 20, UINT64_MAX};
    for (size_t i = 0; i < M2C_COUNTOF(sizes); i++) {
        synth_spew(p, whole, whole_n);
        poke_header(p, 48, sizes[i]);
        refused(p, -EINVAL, "index");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flips),   cmocka_unit_test(test_check),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_version), cmocka_unit_test(test_header_sizes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
