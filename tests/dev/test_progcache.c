/* SPDX-License-Identifier: MIT */
/* The program cache: what was put comes back, every damaged, foreign or
 * half-written entry counts as absent and is replaced, and each thing that a
 * program depends on changes its key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/progcache.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[512];
static struct m2c_err err;

static const struct m2c_prog_id id = {.backend = "cuda",
                                      .device = "Tesla M40, sm_52",
                                      .driver = "CUDA 12.2, NVRTC 11.8",
                                      .options = "-DA=1",
                                      .format = 1,
                                      .n_sources = 2,
                                      .source = {"int x;", "int y;"},
                                      .source_bytes = {6, 6}};

static struct m2c_hash128 key_of(const struct m2c_prog_id *i)
{
    struct m2c_hash128 k;
    assert_int_equal(m2c_prog_key(i, &k), 0);
    return k;
}

static struct m2c_progcache *cache(const char *name)
{
    struct m2c_progcache *c;
    char dir[600];
    snprintf(dir, sizeof dir, "%s/%s", root, name);
    assert_int_equal(m2c_progcache_open(&c, dir, &err), 0);
    assert_string_equal(m2c_progcache_dir(c), dir);
    return c;
}

static void entry(const struct m2c_progcache *c, struct m2c_hash128 k, char out[700])
{
    char hex[33];
    m2c_hash_hex(k, hex);
    snprintf(out, 700, "%s/%s.prog", m2c_progcache_dir(c), hex);
}

static void must_hold(const struct m2c_progcache *c, struct m2c_hash128 k, const void *want,
                      size_t n)
{
    void *data = NULL;
    size_t got = 0;
    if (m2c_progcache_get(c, k, &data, &got, &err) != 1)
        fail_msg("not there: %s", err.msg);
    assert_int_equal(got, n);
    assert_memory_equal(data, want, n);
    free(data);
}

static void must_lack(const struct m2c_progcache *c, struct m2c_hash128 k)
{
    void *data = NULL;
    size_t n = 0;
    err.msg[0] = 0;
    assert_int_equal(m2c_progcache_get(c, k, &data, &n, &err), 0);
    assert_null(data);
    assert_true(err.msg[0]);
}

static void comes_back(void **state)
{
    (void)state;
    struct m2c_progcache *c = cache("deep/er/cache");
    struct m2c_hash128 k = key_of(&id);
    must_lack(c, k);
    assert_int_equal(m2c_progcache_put(c, k, "program", 7, &err), 0);
    must_hold(c, k, "program", 7);
    m2c_progcache_close(c);
    c = cache("deep/er/cache");
    must_hold(c, k, "program", 7);
    assert_int_equal(m2c_progcache_put(c, k, "another", 7, &err), 0);
    must_hold(c, k, "another", 7);
    assert_int_equal(m2c_progcache_put(c, k, "", 0, &err), -EINVAL);
    must_hold(c, k, "another", 7);
    m2c_progcache_close(c);
}

static void everything_is_in_the_key(void **state)
{
    (void)state;
    struct m2c_prog_id v[] = {id, id, id, id, id, id, id, id, id, id};
    v[1].backend = "opencl";
    v[2].device = "Tesla M40, sm_50";
    v[3].driver = "CUDA 12.2, NVRTC 12.0";
    v[4].options = "-DA=2";
    v[5].format = 2;
    v[6].n_sources = 1;
    v[7].source[1] = "int z;";
    v[8].source_bytes[0] = 5;
    v[9].source[0] = "int y;"; /* the same files in another order */
    v[9].source[1] = "int x;";
    for (size_t i = 0; i < M2C_COUNTOF(v); i++) {
        for (size_t j = 0; j < i; j++)
            assert_false(m2c_hash_equal(key_of(&v[i]), key_of(&v[j])));
    }
    struct m2c_prog_id a = id, b = id; /* where a string ends counts */
    a.driver = "xy", a.options = "z";
    b.driver = "x", b.options = "yz";
    assert_false(m2c_hash_equal(key_of(&a), key_of(&b)));
    assert_true(m2c_hash_equal(key_of(&id), key_of(&v[0])));
}

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void damage_is_absence(void **state)
{
    (void)state;
    enum { N = 100, ALL = 48 + N };
    struct m2c_progcache *c = cache("damage");
    struct m2c_hash128 k = key_of(&id);
    uint8_t program[N], file[ALL + 1] = {0}, bad[ALL + 1];
    char path[700];
    for (int i = 0; i < N; i++)
        program[i] = (uint8_t)(i * 7);
    assert_int_equal(m2c_progcache_put(c, k, program, N, &err), 0);
    entry(c, k, path);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_int_equal(fread(file, 1, sizeof file, f), ALL);
    fclose(f);
    for (int i = 0; i < ALL; i++) { /* a byte changed */
        memcpy(bad, file, ALL);
        bad[i] ^= 0x10;
        write_file(path, bad, ALL);
        must_lack(c, k);
    }
    for (int n = 0; n < ALL; n++) { /* truncated */
        write_file(path, file, (size_t)n);
        must_lack(c, k);
    }
    write_file(path, file, ALL + 1); /* and a byte too long */
    must_lack(c, k);
    struct m2c_hash128 other = {k.hi, k.lo + 1}; /* whole, under another name */
    char elsewhere[700];
    entry(c, other, elsewhere);
    write_file(elsewhere, file, ALL);
    must_lack(c, other);
    assert_int_equal(m2c_progcache_put(c, k, program, N, &err), 0); /* rebuilt */
    must_hold(c, k, program, N);
    m2c_progcache_close(c);
}

static void foreign_things(void **state)
{
    (void)state;
    struct m2c_progcache *c = cache("foreign");
    struct m2c_hash128 k = key_of(&id);
    char path[700];
    entry(c, k, path);
    assert_int_equal(mkfifo(path, 0600), 0); /* opening it must not block */
    must_lack(c, k);
    assert_int_equal(m2c_progcache_put(c, k, "x", 1, &err), 0);
    must_hold(c, k, "x", 1);
    assert_int_equal(chmod(path, 0666), 0); /* anyone may have written it */
    must_lack(c, k);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    must_lack(c, k);
    assert_true(m2c_progcache_put(c, k, "x", 1, &err) < 0);
    assert_true(strstr(err.msg, path) != NULL);
    m2c_progcache_close(c);
}

static void no_folder(void **state)
{
    (void)state;
    struct m2c_progcache *c;
    struct m2c_hash128 k = key_of(&id);
    char dir[600];
    snprintf(dir, sizeof dir, "%s/file", root);
    write_file(dir, "x", 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(m2c_progcache_open(&c, dir, &err), 0);
        assert_string_equal(m2c_progcache_dir(c), "");
        must_lack(c, k);
        assert_int_equal(m2c_progcache_put(c, k, "x", 1, &err), -ENOENT);
        m2c_progcache_close(c);
        snprintf(dir, sizeof dir, "%s/open", root);
        assert_int_equal(mkdir(dir, 0700), i == 0 ? 0 : -1);
        assert_int_equal(chmod(dir, 0777), 0);
    }
}

static void where_caches_belong(void **state)
{
    (void)state;
    struct m2c_progcache *c;
    char want[600];
    assert_int_equal(setenv("HOME", root, 1), 0);
    assert_int_equal(setenv("XDG_CACHE_HOME", "relative", 1), 0);
    assert_int_equal(m2c_progcache_open(&c, "", &err), 0);
    snprintf(want, sizeof want, "%s/.cache/m2c", root);
    assert_string_equal(m2c_progcache_dir(c), want);
    m2c_progcache_close(c);
    snprintf(want, sizeof want, "%s/xdg", root);
    assert_int_equal(setenv("XDG_CACHE_HOME", want, 1), 0);
    assert_int_equal(m2c_progcache_open(&c, NULL, &err), 0);
    snprintf(want, sizeof want, "%s/xdg/m2c", root);
    assert_string_equal(m2c_progcache_dir(c), want);
    m2c_progcache_close(c);
}

/* Writers of one entry; a reader sees one of them whole, or nothing. */
static void *writer(void *arg)
{
    const struct m2c_progcache *c = arg;
    struct m2c_hash128 k = {1, 2};
    static const char text[2][9] = {"aaaaaaaa", "bbbbbbbb"};
    uintptr_t bad = 0;
    for (int i = 0; i < 100; i++) {
        void *data = NULL;
        size_t n = 0;
        bad += m2c_progcache_put(c, k, text[i % 2], 8, NULL) < 0;
        int r = m2c_progcache_get(c, k, &data, &n, NULL);
        bad += r != 1 || n != 8 || (memcmp(data, text[0], 8) && memcmp(data, text[1], 8));
        free(data);
    }
    return (void *)bad;
}

static void races(void **state)
{
    (void)state;
    struct m2c_progcache *c = cache("races");
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, writer, c), 0);
    for (int i = 0; i < 3; i++) {
        void *bad;
        assert_int_equal(pthread_join(t[i], &bad), 0);
        assert_null(bad);
    }
    DIR *d = opendir(m2c_progcache_dir(c)); /* nothing is left aside */
    assert_non_null(d);
    int files = 0;
    for (struct dirent *e; (e = readdir(d));)
        files += e->d_name[0] != '.';
    closedir(d);
    assert_int_equal(files, 1);
    m2c_progcache_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),     cmocka_unit_test(everything_is_in_the_key),
        cmocka_unit_test(damage_is_absence), cmocka_unit_test(foreign_things),
        cmocka_unit_test(no_folder),      cmocka_unit_test(where_caches_belong),
        cmocka_unit_test(races),
    };
    const char *build = getenv("M2C_BUILD");
    snprintf(root, sizeof root, "%s/test-progcache-XXXXXX", build ? build : "/tmp");
    if (!mkdtemp(root))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command) != 0 || failed;
}
