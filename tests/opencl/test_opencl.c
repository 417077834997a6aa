/* SPDX-License-Identifier: MIT */
/* The opencl backend beside its kernels: devices that are not there, sources
 * that do not build, programs from a damaged cache, copies of every kind
 * between buffers of one and of several allocations. Exit 77 without a driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "dev/opencl_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *platform;
static char cache[] = "/tmp/m2c-test-opencl-XXXXXX";

static struct m2c_dev_cfg cfg_of(uint64_t max_alloc)
{
    return (struct m2c_dev_cfg){
        .backend = "opencl", .platform = platform, .max_alloc = max_alloc, .cache = cache};
}

static struct m2c_dev *open_dev(uint64_t max_alloc)
{
    struct m2c_dev_cfg cfg = cfg_of(max_alloc);
    struct m2c_err err = {0};
    struct m2c_dev *dev;
    if (m2c_dev_open(&dev, &cfg, &err) < 0)
        fail_msg("%s", err.msg);
    return dev;
}

static void refuse(struct m2c_dev_cfg cfg, int code, const char *say)
{
    struct m2c_err err = {0};
    struct m2c_dev *dev = NULL;
    assert_int_equal(m2c_dev_open(&dev, &cfg, &err), code);
    if (!strstr(err.msg, say))
        fail_msg("'%s' does not say '%s'", err.msg, say);
}

static void wrong_devices(void **state)
{
    struct m2c_dev_cfg cfg = cfg_of(0);
    (void)state;
    cfg.index = 99;
    refuse(cfg, -ENODEV, "there is no device 99; there");
    cfg.index = -1;
    refuse(cfg, -ENODEV, "there is no device -1");
    cfg = cfg_of(0);
    cfg.platform = "no such vendor";
    refuse(cfg, -ENODEV, "no platform is called like 'no such vendor': '");
    cfg = cfg_of(0);
    cfg.isa = "avx2";
    refuse(cfg, -ENODEV, "there are no 'avx2' kernels (auto, vector, team)");
    cfg = cfg_of(0);
    cfg.bytes = UINT64_MAX;
    refuse(cfg, -ENOMEM, "device.bytes is");
}

/* ---- programs ---- */

static void broken_source(void **state)
{
    struct m2c_dev *dev = open_dev(0);
    struct m2c_cl *c = dev->priv;
    struct m2c_err err = {0};
    (void)state;
    c->shape.lanes = 0; /* a work-group of nothing */
    assert_int_equal(m2c_cl_build(dev, M2C_OP_MATMUL, &err), -EIO);
    const char *line = strstr(err.msg, "matmul.cl:");
    if (!strstr(err.msg, "kernel matmul does not build, CL_") || !line || !atoi(line + 10))
        fail_msg("no kernel, file and line in '%s'", err.msg);
    m2c_dev_close(dev);
}

/* Runs a small FILL, which builds its program or takes it from the cache. */
static void fill_works(void)
{
    struct m2c_dev *dev = open_dev(0);
    struct m2c_buf *d, *h;
    struct m2c_queue *q;
    struct m2c_event *ev;
    struct m2c_err err = {0};
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, 100, &d, &err), 0);
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_PINNED, 100, &h, &err), 0);
    assert_int_equal(m2c_queue_open(dev, "test", &q, &err), 0);
    struct m2c_call c = {M2C_OP_FILL, .u.fill = {{d, 0}, 25, 2.5f}};
    struct m2c_copy back = {{h, 0}, {d, 0}, 100};
    if (m2c_queue_launch(q, &c, &err) < 0 || m2c_queue_copy(q, &back, 1, &err) < 0 ||
        m2c_queue_record(q, &ev, &err) < 0 || m2c_event_wait(ev, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < 25; i++)
        assert_true(((float *)h->host)[i] == 2.5f);
    m2c_dev_close(dev);
}

/* Calls `f` on the path of each cached program; returns how many. */
static int each_program(void (*f)(const char *path, const char *name))
{
    DIR *d = opendir(cache);
    struct dirent *e;
    int n = 0;
    assert_non_null(d);
    while ((e = readdir(d))) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", cache, e->d_name);
        if (!strstr(e->d_name, ".prog"))
            continue;
        n++;
        if (f)
            f(path, e->d_name);
    }
    closedir(d);
    return n;
}

static void cut(const char *path, const char *name)
{
    (void)name;
    assert_int_equal(truncate(path, 60), 0);
}

/* A whole entry that no driver takes. */
static void replace(const char *path, const char *name)
{
    static const char junk[] = "this is no program of any device";
    struct m2c_progcache *c;
    struct m2c_hash128 key;
    struct m2c_err err = {0};
    char hex[33];
    (void)path;
    snprintf(hex, sizeof(hex), "%.32s", name);
    assert_int_equal(m2c_hash_parse(hex, &key), 0);
    assert_int_equal(m2c_progcache_open(&c, cache, &err), 0);
    assert_int_equal(m2c_progcache_put(c, key, junk, sizeof(junk), &err), 0);
    m2c_progcache_close(c);
}

static void drop(const char *path, const char *name)
{
    (void)name;
    unlink(path);
}

static void damaged_cache(void **state)
{
    (void)state;
    each_program(drop);
    fill_works();
    assert_int_equal(each_program(NULL), 1);
    fill_works();
    each_program(cut);
    fill_works();
    each_program(replace);
    fill_works();
    assert_int_equal(each_program(NULL), 1);
}

/* ---- copies ---- */

enum { BIG = 3 << 20, SMALL_ALLOC = 256 << 10, COPIES = 300, ROUNDS = 12 };

struct side {
    struct m2c_buf *buf;
    unsigned char *twin; /* what must be there */
};

static void open_side(struct m2c_dev *dev, enum m2c_place place, struct side *s)
{
    struct m2c_err err = {0};
    if (m2c_dev_alloc(dev, place, BIG, &s->buf, &err) < 0)
        fail_msg("%s", err.msg);
    s->twin = calloc(1, BIG);
    assert_non_null(s->twin);
}

/* A batch of random copies between two buffers, on both and on their twins.
 * Destinations do not meet within a batch; mostly small ones, as misses are. */
static void random_batch(struct m2c_queue *q, struct m2c_rng *rng, struct side *to,
                         struct side *from)
{
    struct m2c_copy batch[COPIES];
    struct m2c_err err = {0};
    const size_t room = BIG / COPIES;
    for (size_t i = 0; i < COPIES; i++) {
        size_t n = m2c_rng_below(rng, m2c_rng_below(rng, 8) ? 300 : (uint32_t)room);
        size_t at = i * room + m2c_rng_below(rng, (uint32_t)(room - n));
        size_t src = m2c_rng_below(rng, (uint32_t)(BIG - n));
        if (m2c_rng_below(rng, 4) == 0) { /* some on multiples of 16 and 4 */
            at &= ~(size_t)15;
            src &= ~(size_t)3;
        }
        batch[i] = (struct m2c_copy){{to->buf, at}, {from->buf, src}, n};
    }
    if (m2c_queue_copy(q, batch, COPIES, &err) < 0)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < COPIES; i++)
        memcpy(to->twin + batch[i].dst.off, from->twin + batch[i].src.off, batch[i].bytes);
}

static void drain(struct m2c_queue *q)
{
    struct m2c_event *ev;
    struct m2c_err err = {0};
    if (m2c_queue_record(q, &ev, &err) < 0 || m2c_event_wait(ev, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    m2c_event_free(ev);
}

static void copies_of(uint64_t max_alloc)
{
    struct m2c_dev *dev = open_dev(max_alloc);
    struct side s[6];
    struct m2c_queue *q;
    struct m2c_rng rng;
    struct m2c_err err = {0};
    m2c_rng_init(&rng, 7, max_alloc);
    assert_int_equal(m2c_queue_open(dev, "test", &q, &err), 0);
    for (unsigned i = 0; i < 6; i++)
        open_side(dev, (enum m2c_place)(i / 2), &s[i]);
    for (size_t i = 0; i < BIG; i++)
        ((unsigned char *)s[2].buf->host)[i] = s[2].twin[i] = (unsigned char)m2c_rng_below(&rng, 256);
    random_batch(q, &rng, &s[0], &s[2]); /* pinned to device: something to move */
    for (unsigned k = 0; k < ROUNDS; k++) {
        unsigned to = m2c_rng_below(&rng, 6), from = m2c_rng_below(&rng, 6);
        random_batch(q, &rng, &s[to], &s[from == to ? (to + 1) % 6 : from]);
    }
    drain(q);
    for (unsigned i = 0; i < 6; i++) {
        struct m2c_copy back = {{s[2].buf, 0}, {s[i].buf, 0}, BIG};
        if (i == 2)
            continue;
        assert_int_equal(m2c_queue_copy(q, &back, 1, &err), 0);
        drain(q);
        assert_memory_equal(s[2].buf->host, s[i].twin, BIG);
    }
    for (unsigned i = 0; i < 6; i++)
        free(s[i].twin);
    m2c_dev_close(dev);
}

static void copies(void **state)
{
    (void)state;
    copies_of(0);
    copies_of(SMALL_ALLOC);
}

/* What a kernel would have to write across two allocations is refused. */
static void too_large(void **state)
{
    struct m2c_dev *dev = open_dev(SMALL_ALLOC);
    struct m2c_queue *q;
    struct m2c_buf *b;
    struct m2c_err err = {0};
    (void)state;
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, BIG, &b, &err), 0);
    assert_int_equal(m2c_queue_open(dev, "test", &q, &err), 0);
    struct m2c_call c = {M2C_OP_FILL, .u.fill = {{b, 0}, BIG / 4, 1}};
    assert_int_equal(m2c_queue_launch(q, &c, &err), -ENOTSUP);
    assert_non_null(strstr(err.msg, "operand dst lies across two allocations"));
    m2c_dev_close(dev);
}

int main(int argc, char **argv)
{
    struct m2c_dev *dev;
    struct m2c_err err = {0};
    platform = argc > 1 ? argv[1] : NULL;
    assert_non_null(mkdtemp(cache));
    struct m2c_dev_cfg cfg = cfg_of(0);
    int r = m2c_dev_open(&dev, &cfg, &err);
    if (r < 0) {
        printf("%s\n", err.msg);
        rmdir(cache);
        return r == -ENODEV ? 77 : 1;
    }
    m2c_dev_close(dev);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_devices), cmocka_unit_test(broken_source),
        cmocka_unit_test(damaged_cache), cmocka_unit_test(copies),
        cmocka_unit_test(too_large),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    each_program(drop);
    rmdir(cache);
    return failed;
}
