/* SPDX-License-Identifier: MIT */
/* Imports that fail: whatever goes wrong, the error says what and where, a
 * store that was there stays as it was, and nothing is left that looks whole. */
#define _GNU_SOURCE /* unshare, mount */
#include "store/synth.h"

#include "base/rng.h"
#include "store/rank.h"
#include "store/results.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* ---- allocations that fail on request (linked with --wrap) ---- */

static long fail_at = -1; /* the how-manieth allocation from now fails */

static bool fails(void)
{
    return fail_at >= 0 && fail_at-- == 0;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

/* ---- what a refused import leaves ---- */

static void refused(const char *path, struct m2c_import *im,
                    const struct m2c_store_write_opts *o, int code, const char *word)
{
    struct m2c_err err = {0};
    int before = synth_files("");
    int rc = m2c_store_import(path, im, o, NULL, &err);
    if (rc != code || err.code != code)
        fail_msg("%d, expected %d: %s", rc, code, err.msg);
    if (!strstr(err.msg, word) || strchr(err.msg, '\n'))
        fail_msg("not said: '%s' in: %s", word, err.msg);
    assert_int_equal(synth_files(""), before);
    assert_int_equal(synth_files(".part"), 0);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        enum m2c_tensor_kind kind;
        uint32_t layer, row, col;
        float value;
        enum m2c_type dense;
        const char *word;
    } cases[] = {
        {M2C_T_GATE, 1, 19, 31, 70000, M2C_F32,
         "tensor gate of layer 1, row 19, column 31: 70000 does not fit f16"},
        {M2C_T_UP, 0, 0, 0, -65505, M2C_F32,
         "tensor up of layer 0, row 0, column 0: -65505 does not fit f16"},
        {M2C_T_DOWN, 1, 7, 13, 1e6f, M2C_F32,
         "tensor down of layer 1, row 7, column 13: 1e+06 does not fit f16"},
        {M2C_T_EMBED, 0, 9, 30, NAN, M2C_I8,
         "tensor embed of layer 0, row 9, column 30: nan does not fit i8"},
        {M2C_T_WO, 1, 3, 4, -1e5f, M2C_F16, "tensor wo of layer 1, row 3, column 4"},
        {M2C_T_FFN_NORM, 1, 0, 31, INFINITY, M2C_I4,
         "tensor ffn_norm of layer 1, row 0, column 31: inf does not fit f32"},
    };
    struct m2c_model_cfg c = synth_cfg(32, 20, 2, 10);
    struct m2c_import *im = synth_open(&c, 1, false);
    const char *path = synth_path("v.h5");
    for (size_t i = 0; i < M2C_COUNTOF(cases); i++) {
        uint32_t rows, cols;
        assert_true(m2c_tensor_shape(&c, cases[i].kind, &rows, &cols));
        size_t at = (size_t)cases[i].row * cols + cases[i].col;
        float old = synth_tensor(im, cases[i].kind, cases[i].layer)[at];
        struct m2c_store_write_opts o = synth_opts(cases[i].dense);
        synth_poke(im, cases[i].kind, cases[i].layer, cases[i].row, cases[i].col,
                   cases[i].value);
        refused(path, im, &o, -EINVAL, cases[i].word);
        synth_poke(im, cases[i].kind, cases[i].layer, cases[i].row, cases[i].col, old);
    }
    /* The largest that fits fits. */
    synth_poke(im, M2C_T_GATE, 0, 0, 0, 65504);
    synth_import(path, im, M2C_F32);
    unlink(path);
    m2c_import_close(im);
}

static void test_options(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(32, 20, 1, 10);
    struct m2c_import *im = synth_open(&c, 1, false);
    const char *path = synth_path("o.h5");
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    o.layout = "copis";
    refused(path, im, &o, -ENOENT, "did you mean 'copies'");
    o = synth_opts(M2C_F32);
    o.arrange = "neurons";
    refused(path, im, &o, -EINVAL, "unknown arrangement 'neurons' (known: part, neuron)");
    o = synth_opts(M2C_BF16);
    refused(path, im, &o, -EINVAL, "bf16");
    o = synth_opts(M2C_F32);
    o.tok_kind = "a kind with a name that is far too long";
    o.tok_bytes = "x";
    o.tok_n = 1;
    refused(path, im, &o, -EINVAL, "tokenizer of kind");
    o = synth_opts(M2C_F32);
    im->cfg.experts = 2;
    refused(path, im, &o, -EINVAL, "2 experts");
    im->cfg.experts = 1;
    im->cfg.head_dim = 15;
    refused(path, im, &o, -EINVAL, "o.h5: the model: head_dim is 15");
    im->cfg.head_dim = 16;
    refused(synth_path("no/such/folder.h5"), im, &o, -EIO, "folder.h5");
    char *longer = malloc(5000);
    assert_non_null(longer);
    memset(longer, 'x', 4999);
    longer[4999] = 0;
    refused(longer, im, &o, -ENAMETOOLONG, "too long");
    free(longer);
    m2c_import_close(im);
}

static void test_existing(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(32, 20, 1, 10);
    struct m2c_import *im = synth_open(&c, 1, false);
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    const char *path = synth_path("e.h5"), *dir = synth_path("d.h5");
    synth_spew(path, "precious", 8);
    refused(path, im, &o, -EEXIST, "--overwrite");
    /* A failed overwrite keeps what was there. */
    o.overwrite = true;
    synth_poke(im, M2C_T_UP, 0, 1, 1, INFINITY);
    refused(path, im, &o, -EINVAL, "tensor up");
    size_t n;
    uint8_t *data = synth_slurp(path, &n);
    assert_int_equal(n, 8);
    assert_memory_equal(data, "precious", 8);
    free(data);
    synth_poke(im, M2C_T_UP, 0, 1, 1, 1);
    assert_int_equal(m2c_store_import(path, im, &o, NULL, NULL), 0);
    struct m2c_store *s;
    assert_int_equal(m2c_store_open(&s, path, NULL), 0);
    m2c_store_close(s);
    unlink(path);
    assert_int_equal(mkdir(dir, 0700), 0);
    refused(dir, im, &o, -EEXIST, "not a file");
    rmdir(dir);
    m2c_import_close(im);
}

/* ---- interrupted ---- */

static volatile bool stop;
static int countdown;
static const char *spoil; /* a name that appears meanwhile */

static void count_down(void)
{
    if (countdown-- != 0)
        return;
    stop = true;
    if (spoil)
        synth_spew(spoil, "new", 3);
}

/* Stopped before each chunk in turn; the last round is not stopped at all. */
static void test_stop(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(32, 20, 2, 10);
    struct m2c_import *im = synth_open(&c, 1, false);
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    const char *path = synth_path("i.h5");
    o.stop = &stop;
    stop = true;
    refused(path, im, &o, -EINTR, "interrupted");
    synth_on_find = count_down;
    int rounds = 0;
    for (;; rounds++) {
        struct m2c_err err = {0};
        stop = false;
        countdown = rounds;
        int rc = m2c_store_import(path, im, &o, NULL, &err);
        assert_int_equal(synth_files(".part"), 0);
        if (rc == 0)
            break;
        assert_int_equal(rc, -EINTR);
        assert_int_equal(synth_files(".h5"), 0);
    }
    synth_on_find = NULL;
    assert_int_equal(rounds, 20); /* a chunk a tensor */
    assert_false(stop);
    unlink(path);
    m2c_import_close(im);
}

/* The name is taken while the import runs: that file is not lost. */
static void test_race(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(32, 20, 1, 10);
    struct m2c_import *im = synth_open(&c, 1, false);
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    struct m2c_err err = {0};
    const char *path = synth_path("race.h5");
    spoil = path;
    countdown = 5;
    synth_on_find = count_down;
    assert_int_equal(m2c_store_import(path, im, &o, NULL, &err), -EEXIST);
    synth_on_find = NULL;
    spoil = NULL;
    size_t n;
    free(synth_slurp(path, &n));
    assert_int_equal(n, 3);
    assert_int_equal(synth_files(".part"), 0);
    unlink(path);
    m2c_import_close(im);
}

/* The source ends while it is read. */
static void cut_source(void)
{
    if (countdown-- == 0) {
        int fd = open(spoil, O_WRONLY);
        assert_int_equal(ftruncate(fd, 100), 0);
        close(fd);
    }
}

static void test_source(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(32, 20, 1, 10);
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    for (int i = 0; i < 11; i++) { /* as many tensors */
        struct m2c_import *im = synth_open(&c, 1, false);
        char path[64];
        struct m2c_source src;
        im->ops->find(im, M2C_T_EMBED, 0, &src);
        snprintf(path, sizeof path, "/proc/self/fd/%d", src.file->fd);
        spoil = path;
        countdown = i;
        synth_on_find = cut_source;
        refused(synth_path("src.h5"), im, &o, -EIO, "source.bin");
        synth_on_find = NULL;
        spoil = NULL;
        m2c_import_close(im);
    }
}

/* ---- in a child ---- */

/* Runs fn in a child that ends with its result: 0 is right, 77 "cannot be
 * tried here". */
static int in_child(int (*fn)(struct m2c_import *im), struct m2c_import *im)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn(im));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status))
        fail_msg("the child died of signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static int say(const struct m2c_err *err, int rc)
{
    fprintf(stderr, "%d: %s\n", rc, err->msg);
    return 1;
}

static int limited(struct m2c_import *im)
{
    struct rlimit lim = {100000, 100000};
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    struct m2c_err err = {0};
    if (setrlimit(RLIMIT_FSIZE, &lim))
        return 77;
    int rc = m2c_store_import(synth_path("limit.h5"), im, &o, NULL, &err);
    return rc == -EFBIG && strstr(err.msg, "ulimit") ? 0 : say(&err, rc);
}

static void test_file_limit(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(128, 200, 1, 100);
    struct m2c_import *im = synth_open(&c, 1, false);
    synth_path("");
    assert_int_equal(in_child(limited, im), 0);
    assert_int_equal(synth_files("limit"), 0);
    m2c_import_close(im);
}

/* Mounts a small file system on a folder of this child's own. */
static bool small_disk(const char *dir, const char *size)
{
    return unshare(CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mkdir(dir, 0700) == 0 && mount("none", dir, "tmpfs", 0, size) == 0;
}

static uint64_t folder_files(const char *dir)
{
    char cmd[256];
    snprintf(cmd, sizeof cmd, "test -z \"$(ls -A %s)\"", dir);
    return system(cmd) == 0 ? 0 : 1;
}

static int full_disk(struct m2c_import *im)
{
    const char *dir = synth_path("disk");
    char path[200];
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    struct m2c_err err = {0};
    if (!small_disk(dir, "size=256k"))
        return 77;
    snprintf(path, sizeof path, "%s/full.h5", dir);
    int rc = m2c_store_import(path, im, &o, NULL, &err);
    if (rc != -ENOSPC || !strstr(err.msg, "needs ") || !strstr(err.msg, " available"))
        return say(&err, rc);
    if (folder_files(dir))
        return 2;
    umount(dir);
    rmdir(dir);
    return 0;
}

/* The space goes while the import runs: the file is reserved by then. */
static char hog_path[200];
static void hog(void)
{
    static char block[4096];
    if (countdown-- != 0)
        return;
    int fd = open(hog_path, O_WRONLY | O_CREAT, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
}

static int filling_disk(struct m2c_import *im)
{
    const char *dir = synth_path("disk");
    char path[200];
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    struct m2c_err err = {0};
    struct m2c_store *s;
    uint64_t bad;
    if (!small_disk(dir, "size=2m"))
        return 77;
    snprintf(path, sizeof path, "%s/filling.h5", dir);
    snprintf(hog_path, sizeof hog_path, "%s/hog", dir);
    countdown = 1;
    synth_on_find = hog;
    int rc = m2c_store_import(path, im, &o, NULL, &err);
    if (rc || m2c_store_open(&s, path, &err) || m2c_store_verify(s, NULL, &bad, &err))
        return say(&err, rc);
    m2c_store_close(s);
    return 0;
}

/* Small files, which libhdf5 writes, meet a full disk: an error, no file, and
 * a process that goes on. */
static int full_small(struct m2c_import *im)
{
    const char *dir = synth_path("disk");
    char path[200];
    struct m2c_rank *r;
    struct m2c_results *t;
    struct m2c_err err = {0};
    static double column[20000];
    (void)im;
    if (!small_disk(dir, "size=64k"))
        return 77;
    snprintf(path, sizeof path, "%s/r.h5", dir);
    if (m2c_rank_new(&r, 2, 20000))
        return 3;
    int rc = m2c_rank_sort(r);
    if (!rc)
        rc = m2c_rank_write(r, path, &err);
    if (rc >= 0 || !strstr(err.msg, path) || folder_files(dir))
        return say(&err, rc);
    m2c_rank_free(r);
    if (m2c_results_open(&t, path, &err))
        return say(&err, 4);
    rc = 0;
    for (int i = 0; i < 5 && !rc; i++) {
        char name[8];
        snprintf(name, sizeof name, "c%d", i);
        rc = m2c_results_numbers(t, name, 20000, column, &err);
    }
    if (!rc)
        rc = m2c_results_commit(t, &err);
    m2c_results_close(t);
    if (rc >= 0 || !strstr(err.msg, path) || folder_files(dir))
        return say(&err, rc);
    exit(0); /* with what libhdf5 does at exit */
}

static void test_full_disk(void **state)
{
    (void)state;
    static int (*const tests[])(struct m2c_import *) = {full_disk, filling_disk,
                                                        full_small};
    struct m2c_model_cfg c = synth_cfg(128, 200, 1, 100);
    struct m2c_import *im = synth_open(&c, 1, false);
    synth_path("");
    for (size_t i = 0; i < M2C_COUNTOF(tests); i++) {
        int rc = in_child(tests[i], im);
        rmdir(synth_path("disk"));
        if (rc == 77) {
            m2c_import_close(im);
            skip(); /* no right to mount a small disk */
        }
        assert_int_equal(rc, 0);
    }
    m2c_import_close(im);
}

/* Peak memory while a model of tall tensors goes through. */
enum { TALL_VOCAB = 1 << 18, TALL_HIDDEN = 1 << 17, TALL_DIM = 64 };

static int tall(struct m2c_import *im)
{
    struct m2c_store_write_opts o = synth_opts(M2C_F16);
    struct m2c_err err = {0};
    struct rusage u;
    const long down_kib = TALL_HIDDEN / 1024 * TALL_DIM * 4;
    if (m2c_store_import(synth_path("tall.h5"), im, &o, NULL, &err))
        return say(&err, 0);
    if (getrusage(RUSAGE_SELF, &u))
        return 77;
    fprintf(stderr, "peak %ld KiB with tensors of %ld and %ld KiB\n", u.ru_maxrss,
            (long)TALL_VOCAB / 1024 * TALL_DIM * 4, down_kib);
    return u.ru_maxrss < down_kib + 64 * 1024 ? 0 : 1;
}

static void test_memory(void **state)
{
    (void)state;
#ifdef SANITIZED
    skip(); /* a sanitizer's own memory would be measured */
#endif
    struct m2c_model_cfg c = synth_cfg(TALL_DIM, TALL_HIDDEN, 1, TALL_VOCAB);
    struct m2c_import *im = synth_open(&c, 1, true);
    synth_path("");
    assert_int_equal(in_child(tall, im), 0);
    unlink(synth_path("tall.h5"));
    m2c_import_close(im);
}

/* Killed at any moment, an import leaves a whole store or none. */
static void test_kill(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(256, 1200, 2, 500);
    struct m2c_import *im = synth_open(&c, 1, false);
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    struct m2c_rng r;
    const char *path = synth_path("kill.h5");
    char part[200];
    int none = 0, whole = 0;
    m2c_rng_init(&r, 3, 0);
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    synth_import(path, im, M2C_F32);
    clock_gettime(CLOCK_MONOTONIC, &end);
    unlink(path);
    long span = (end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec;
    for (int i = 0; i < 30; i++) {
        fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            _exit(m2c_store_import(path, im, &o, NULL, NULL) ? 1 : 0);
        long ns = (long)(m2c_rng_double(&r) * 2 * (double)span);
        struct timespec t = {ns / 1000000000, ns % 1000000000};
        nanosleep(&t, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        struct m2c_store *s = NULL;
        struct m2c_err err = {0};
        uint64_t bad = 0;
        if (m2c_store_open(&s, path, &err) == 0) {
            whole++;
            assert_int_equal(m2c_store_verify(s, NULL, &bad, &err), 0);
            m2c_store_close(s);
        } else {
            none++;
            assert_int_equal(err.code, -ENOENT);
        }
        snprintf(part, sizeof part, "%s.part-%ld", path, (long)pid);
        if (access(part, F_OK) == 0 && m2c_store_open(&s, part, &err) == 0) {
            /* Sealed, and not yet renamed. */
            assert_int_equal(m2c_store_verify(s, NULL, &bad, &err), 0);
            m2c_store_close(s);
        }
        unlink(part);
        unlink(path);
    }
    fprintf(stderr, "30 kills: %d without a store, %d with a whole one\n", none, whole);
    assert_true(none > 0);
    m2c_import_close(im);
}

/* ---- no memory ---- */

static void test_alloc(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(32, 6, 1, 5);
    struct m2c_import *im = synth_open(&c, 1, false);
    struct m2c_store_write_opts o = synth_opts(M2C_I8);
    const char *path = synth_path("a.h5");
    struct m2c_store *s = NULL;
    long n = 0;
    for (;; n++) {
        struct m2c_err err = {0};
        fail_at = n;
        int rc = m2c_store_import(path, im, &o, NULL, &err);
        fail_at = -1;
        if (rc == 0)
            break;
        assert_int_equal(rc, -ENOMEM);
        assert_int_equal(err.code, -ENOMEM);
        assert_int_equal(synth_files(".h5"), 0);
    }
    assert_true(n > 20);
    for (n = 0;; n++) {
        struct m2c_err err = {0};
        fail_at = n;
        int rc = m2c_store_open(&s, path, &err);
        fail_at = -1;
        if (rc == 0)
            break;
        assert_int_equal(rc, -ENOMEM);
        assert_true(!s && err.code == -ENOMEM);
    }
    assert_true(n >= 5);
    for (n = 0;; n++) {
        struct m2c_err err = {0};
        uint64_t bad;
        fail_at = n;
        int rc = m2c_store_verify(s, NULL, &bad, &err);
        fail_at = -1;
        if (rc == 0)
            break;
        assert_int_equal(rc, -ENOMEM);
    }
    assert_true(n >= 2);
    m2c_store_close(s);
    m2c_import_close(im);
}

static int teardown(void **state)
{
    (void)state;
    synth_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),     cmocka_unit_test(test_options),
        cmocka_unit_test(test_existing),   cmocka_unit_test(test_stop),
        cmocka_unit_test(test_race),       cmocka_unit_test(test_source),
        cmocka_unit_test(test_file_limit), cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_memory),     cmocka_unit_test(test_kill),
        cmocka_unit_test(test_alloc),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
