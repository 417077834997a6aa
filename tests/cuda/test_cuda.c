/* SPDX-License-Identifier: MIT */
/* The cuda backend on the fake driver: what opening refuses and in which words,
 * code from the cache and as PTX, the ways of copying, waits, and devices that
 * are lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "dev/dev.h"
#include "fake/fake.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *library; /* the folder of the fake driver */
static char root[512], cache[600];
static struct m2c_err err;

/* The driver's own switches. The library is the one that the backend opens. */
static int (*configure)(const char *);
static unsigned (*calls)(void), (*alive)(void), (*faults)(void);

static void find_switches(void)
{
    char path[600];
    snprintf(path, sizeof path, "%s/libcuda.so.1", library);
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    *(void **)&configure = dlsym(lib, "m2c_fake_configure");
    *(void **)&calls = dlsym(lib, "m2c_fake_calls");
    *(void **)&alive = dlsym(lib, "m2c_fake_alive");
    *(void **)&faults = dlsym(lib, "m2c_fake_faults");
}

static struct m2c_dev_cfg cfg_of(void)
{
    return (struct m2c_dev_cfg){.backend = "cuda",
                                .library = library,
                                .cache = cache,
                                .gemm = "own",
                                .copy = "gather"};
}

static struct m2c_dev *open_with(struct m2c_dev_cfg cfg)
{
    struct m2c_dev *dev;
    if (m2c_dev_open(&dev, &cfg, &err) < 0)
        fail_msg("%s", err.msg);
    return dev;
}

static void refuse(struct m2c_dev_cfg cfg, const char *options, int code, const char *say)
{
    struct m2c_dev *dev = NULL;
    assert_int_equal(configure(options), 0);
    int r = m2c_dev_open(&dev, &cfg, &err);
    if (r != code || !strstr(err.msg, say))
        fail_msg("got %d '%s', wanted %d and '%s'", r, err.msg, code, say);
    assert_int_equal(alive(), 0);
    assert_int_equal(configure(""), 0);
}

/* ---- opening ---- */

static void devices_that_are_not_there(void **state)
{
    struct m2c_dev_cfg cfg = cfg_of();
    (void)state;
    refuse(cfg, "devices=0", -ENODEV, "the driver has no device");
    cfg.index = 2;
    refuse(cfg, "devices=2", -ENODEV, "there is no device 2; there are 2");
    cfg.index = -1;
    refuse(cfg, "", -ENODEV, "there is no device -1; there is 1");
    cfg = cfg_of();
    refuse(cfg, "driver=10020", -ENODEV, "the driver is of CUDA 10.2, m2c needs 11.0");
    refuse(cfg, "arch=37", -ENODEV, "compute capability 3.7");
    refuse(cfg, "memory=0", -ENODEV, "0 bytes of memory");
    refuse(cfg, "fail=1", -EIO, "cuInit: CUDA_ERROR_UNKNOWN (unknown error)");
    cfg.bytes = (uint64_t)4 << 30;
    refuse(cfg, "", -ENOMEM, "device.bytes is 4294967296");
    cfg = cfg_of();
    cfg.copy = "stage";
    refuse(cfg, "", -ENOTSUP, "device.copy = stage");
    cfg.gemm = "mine";
    refuse(cfg, "", -EINVAL, "device.gemm = mine");
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[900];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void libraries_that_are_not_there(void **state)
{
    struct m2c_dev_cfg cfg = cfg_of();
    char folder[600], to[700], from[700];
    (void)state;
    snprintf(folder, sizeof folder, "%s/half", root);
    assert_int_equal(mkdir(folder, 0700), 0);
    cfg.library = folder;
    write_file(folder, "libcuda.so.1", "no library\n");
    refuse(cfg, "", -ENODEV, "there is no NVIDIA driver");
    snprintf(to, sizeof to, "%s/libcuda.so.1", folder);
    unlink(to);
    snprintf(from, sizeof from, "%s/libold.so", library);
    assert_int_equal(symlink(from, to), 0);
    refuse(cfg, "", -ENODEV, "is too old or no NVIDIA driver: it lacks cuDriverGetVersion");
    snprintf(folder, sizeof folder, "%s/bare", root); /* what is open stays: another */
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(to, sizeof to, "%s/libcuda.so.1", folder);
    snprintf(from, sizeof from, "%s/libcuda.so.1", library);
    assert_int_equal(symlink(from, to), 0);
    write_file(folder, "libnvrtc.so.13", "");
    write_file(folder, "libnvrtc.so.12", "");
    write_file(folder, "libnvrtc.so.11.2", "");
    refuse(cfg, "", -ENOTSUP, "no NVRTC that compiles for sm_86");
    assert_non_null(strstr(err.msg, "nvidia-cuda-nvrtc-cu12"));
    assert_non_null(strstr(err.msg, "file too short"));
    cfg = cfg_of();
    refuse(cfg, "driver=11080", -ENOTSUP, "is of CUDA 12.4, the driver of 11.8");
}

/* ---- code ---- */

static unsigned opens(struct m2c_dev_cfg cfg, const char *options, const char *name)
{
    assert_int_equal(configure(options), 0);
    struct m2c_dev *dev = open_with(cfg);
    const struct m2c_dev_info *i = m2c_dev_info(dev);
    if (!strstr(i->driver, name) && strcmp(i->isa, name) != 0)
        fail_msg("%s, %s: wanted %s", i->driver, i->isa, name);
    unsigned n = calls();
    m2c_dev_close(dev);
    assert_int_equal(alive(), 0);
    return n;
}

static void code_of_every_kind(void **state)
{
    struct m2c_dev_cfg cfg = cfg_of();
    char folder[700], name[1024];
    (void)state;
    snprintf(folder, sizeof folder, "%s/code", root);
    cfg.cache = folder;
    unsigned compiled = opens(cfg, "", "CUDA 12.4, NVRTC 12.4, own GEMM");
    unsigned cached = opens(cfg, "", "sm_86");
    assert_true(cached < compiled);
    assert_true(opens(cfg, "arch=52", "sm_52") == compiled); /* another card */
    opens(cfg, "arch=61", "sm_61");   /* by the PTX of sm_52 */
    opens(cfg, "arch=120", "sm_120"); /* and of sm_86 */
    DIR *d = opendir(folder); /* every entry cut short */
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(name, sizeof name, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.' && ++n)
            assert_int_equal(truncate(name, 60), 0);
    }
    closedir(d);
    assert_true(n > 20);
    assert_true(opens(cfg, "", "sm_86") == compiled);
    assert_true(opens(cfg, "", "sm_86") == cached);
    cfg.gemm = NULL;
    opens(cfg, "", "CUDA 12.4, NVRTC 12.4, libcublas.so.12");
}

static void a_kernel_that_does_not_compile(void **state)
{
    struct m2c_dev_cfg cfg = cfg_of();
    char folder[700];
    (void)state;
    snprintf(folder, sizeof folder, "%s/broken", root);
    cfg.cache = folder;
    refuse(cfg, "broken=norm", -EIO, "norm.cu for any does not compile for sm_86");
    assert_non_null(strstr(err.msg, "norm.cu(12): error: identifier \"x\" is undefined"));
    assert_null(strchr(err.msg, '\n'));
}

/* ---- memory ---- */

static void memory_that_is_not_there(void **state)
{
    struct m2c_buf *a, *b = NULL;
    (void)state;
    assert_int_equal(configure("memory=33554432"), 0);
    struct m2c_dev *dev = open_with(cfg_of());
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, 24 << 20, &a, &err), 0);
    assert_null(a->host);
    /* The budget lets it through, but there is no room for its alignment. */
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, 8 << 20, &b, &err), -ENOMEM);
    assert_non_null(strstr(err.msg, "CUDA_ERROR_OUT_OF_MEMORY (out of memory)"));
    assert_non_null(strstr(err.msg, "of the card's 33554432 bytes are free"));
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, 0, &b, &err), 0);
    m2c_dev_close(dev);
    assert_int_equal(configure(""), 0);
}

/* ---- copies and waits ---- */

struct two {
    struct m2c_dev *dev;
    struct m2c_queue *a, *b;
    struct m2c_buf *pinned, *back, *device;
};

enum { BYTES = 1 << 20 };

static void open_two(struct two *t, const char *copy)
{
    struct m2c_dev_cfg cfg = cfg_of();
    cfg.copy = copy;
    t->dev = open_with(cfg);
    assert_int_equal(m2c_queue_open(t->dev, "a", &t->a, &err), 0);
    assert_int_equal(m2c_queue_open(t->dev, "b", &t->b, &err), 0);
    assert_int_equal(m2c_dev_alloc(t->dev, M2C_PLACE_PINNED, BYTES, &t->pinned, &err), 0);
    assert_int_equal(m2c_dev_alloc(t->dev, M2C_PLACE_PINNED, BYTES, &t->back, &err), 0);
    assert_int_equal(m2c_dev_alloc(t->dev, M2C_PLACE_DEVICE, BYTES, &t->device, &err), 0);
}

static int finish(struct m2c_queue *q)
{
    struct m2c_event *ev;
    int r = m2c_queue_record(q, &ev, &err);
    if (r < 0)
        return r;
    r = m2c_event_wait(ev, NULL, &err);
    m2c_event_free(ev);
    return r;
}

/* Pieces of every size and alignment, to places in another order. */
static void copies_arrive(const char *how)
{
    enum { N = 1500 };
    static struct m2c_copy batch[N];
    struct two t;
    struct m2c_rng rng;
    open_two(&t, how);
    m2c_rng_init(&rng, 7, 0);
    uint8_t *src = t.pinned->host, *want = calloc(1, BYTES);
    for (size_t i = 0; i < BYTES; i++)
        src[i] = (uint8_t)m2c_rng_u32(&rng);
    assert_non_null(want);
    for (size_t i = 0; i < N; i++) {
        size_t at = i * (BYTES / N), bytes = m2c_rng_below(&rng, BYTES / N);
        size_t to = (N - 1 - i) * (BYTES / N) + m2c_rng_below(&rng, 16);
        bytes = M2C_MIN(bytes, (size_t)(BYTES / N - 16)) * (i % 50 != 0);
        batch[i] = (struct m2c_copy){{t.device, to}, {t.pinned, at}, bytes};
        memcpy(want + to, src + at, bytes);
    }
    assert_int_equal(m2c_queue_copy(t.a, batch, N, &err), 0);
    struct m2c_copy all = {{t.back, 0}, {t.device, 0}, BYTES};
    assert_int_equal(m2c_queue_copy(t.a, &all, 1, &err), 0);
    assert_int_equal(finish(t.a), 0);
    assert_memory_equal(t.back->host, want, BYTES);
    free(want);
    m2c_dev_close(t.dev);
    assert_int_equal(alive(), 0);
}

static void copies_of_every_kind(void **state)
{
    struct m2c_dev_cfg cfg = cfg_of();
    (void)state;
    copies_arrive("each");
    copies_arrive("gather");
    copies_arrive("batch");
    copies_arrive("auto");
    struct two t; /* from plain host memory, which no kernel reaches */
    struct m2c_buf *host;
    open_two(&t, "gather");
    assert_int_equal(m2c_dev_alloc(t.dev, M2C_PLACE_HOST, 100, &host, &err), 0);
    memset(host->host, 3, 100);
    struct m2c_copy two[] = {{{t.device, 1}, {host, 0}, 50}, {{t.device, 51}, {host, 50}, 50}};
    struct m2c_copy back = {{t.back, 0}, {t.device, 0}, 102};
    assert_int_equal(m2c_queue_copy(t.a, two, 2, &err), 0);
    assert_int_equal(m2c_queue_copy(t.a, &back, 1, &err), 0);
    assert_int_equal(finish(t.a), 0);
    const uint8_t *got = t.back->host;
    assert_true(got[0] == 0 && got[1] == 3 && got[100] == 3 && got[101] == 0);
    m2c_dev_close(t.dev);
    (void)cfg;
}

/* Returns what b saw of a's copy. */
static uint8_t hand_over(void)
{
    struct two t;
    struct m2c_event *ev;
    open_two(&t, "each");
    memset(t.pinned->host, 9, BYTES);
    struct m2c_copy in = {{t.device, 0}, {t.pinned, 0}, BYTES};
    struct m2c_copy out = {{t.back, 0}, {t.device, 0}, BYTES};
    assert_int_equal(m2c_queue_copy(t.a, &in, 1, &err), 0);
    assert_int_equal(m2c_queue_record(t.a, &ev, &err), 0);
    assert_int_equal(m2c_queue_after(t.b, ev, &err), 0);
    m2c_event_free(ev);
    assert_int_equal(m2c_queue_copy(t.b, &out, 1, &err), 0);
    assert_int_equal(m2c_queue_record(t.b, &ev, &err), 0);
    assert_false(m2c_event_passed(ev)); /* nobody has waited */
    uint64_t ns = 0, before = 0;
    assert_int_equal(m2c_event_wait(ev, &ns, &err), 0);
    assert_true(m2c_event_passed(ev));
    assert_int_equal(m2c_event_wait(ev, &before, &err), 0); /* again: the same */
    assert_true(ns == before && ns);
    m2c_event_free(ev);
    uint8_t got = *(uint8_t *)t.back->host;
    m2c_dev_close(t.dev);
    return got;
}

static void waits_hold(void **state)
{
    (void)state;
    assert_int_equal(hand_over(), 9);
    assert_int_equal(configure("unwaited=1"), 0); /* and the fake driver would show it */
    assert_int_equal(hand_over(), 0);
    assert_int_equal(configure(""), 0);
}

/* ---- a device that is lost ---- */

static void lost_devices(void **state)
{
    struct two t;
    struct m2c_event *ev;
    (void)state;
    open_two(&t, "each");
    struct m2c_copy in = {{t.device, 0}, {t.pinned, 0}, BYTES};
    assert_int_equal(m2c_queue_copy(t.a, &in, 1, &err), 0);
    assert_int_equal(m2c_queue_record(t.a, &ev, &err), 0);
    assert_int_equal(configure("lost=1"), 0);
    assert_int_equal(m2c_event_wait(ev, NULL, &err), -EIO);
    assert_non_null(strstr(err.msg, "CUDA_ERROR_UNKNOWN (unknown error)"));
    assert_int_equal(m2c_queue_copy(t.a, &in, 1, &err), -EIO);
    assert_int_equal(m2c_queue_copy(t.b, &in, 1, &err), -EIO);
    assert_int_equal(m2c_queue_copy(t.b, &in, 1, &err), -EIO); /* the queue remembers */
    assert_non_null(strstr(err.msg, "earlier work has failed"));
    struct m2c_buf *more;
    assert_int_equal(m2c_dev_alloc(t.dev, M2C_PLACE_DEVICE, 1, &more, &err), -EIO);
    m2c_dev_close(t.dev);
    assert_int_equal(alive(), 0);
    assert_int_equal(configure(""), 0);
    assert_int_equal(hand_over(), 9); /* the next one works */
}

/* ---- the Nth call ---- */

static int use(const char *copy)
{
    struct m2c_dev_cfg cfg = cfg_of();
    struct m2c_dev *dev = NULL;
    struct m2c_queue *q = NULL;
    struct m2c_buf *pinned = NULL, *device = NULL, *plain = NULL;
    cfg.copy = copy;
    cfg.gemm = "auto";
    int r = m2c_dev_open(&dev, &cfg, &err);
    r = r < 0 ? r : m2c_queue_open(dev, "q", &q, &err);
    r = r < 0 ? r : m2c_dev_alloc(dev, M2C_PLACE_PINNED, 1 << 16, &pinned, &err);
    r = r < 0 ? r : m2c_dev_alloc(dev, M2C_PLACE_DEVICE, 1 << 18, &device, &err);
    r = r < 0 ? r : m2c_dev_alloc(dev, M2C_PLACE_HOST, 64, &plain, &err);
    const struct m2c_copy in[] = {{{device, 0}, {pinned, 0}, 1000},
                                  {{device, 5000}, {pinned, 1000}, 900}};
    r = r < 0 ? r : m2c_queue_copy(q, in, 2, &err);
    /* f16[64][32] at 0, x f32[40][32], y f32[40][64] */
    struct m2c_tensor w = {M2C_F16, 64, 32, {device, 0}, {0}};
    struct m2c_call c = {M2C_OP_MATMUL,
                         .u.matmul = {w, {device, 8192}, {device, 16384}, 40, true}};
    r = r < 0 ? r : m2c_queue_launch(q, &c, &err);
    r = r < 0 ? r : finish(q);
    m2c_dev_close(dev);
    return r;
}

/* The calls of one use, of which every `step`th fails once. */
static void fail_calls(const char *copy, unsigned step)
{
    unsigned failed = 0, tried = 0;
    assert_int_equal(configure(""), 0);
    assert_int_equal(use(copy), 0);
    const unsigned n = calls();
    for (unsigned i = 1; i <= n; i += step, tried++) {
        char options[32];
        snprintf(options, sizeof options, "fail=%u", i);
        assert_int_equal(configure(options), 0);
        err.msg[0] = 0;
        int r = use(copy);
        if (r < 0 && (!err.msg[0] || strchr(err.msg, '\n')))
            fail_msg("call %u: %d without a word", i, r);
        if (alive() || faults())
            fail_msg("call %u of %u, '%s': %u objects are left", i, n, err.msg, alive());
        failed += r < 0;
    }
    assert_int_equal(configure(""), 0);
    assert_int_equal(use(copy), 0);
    /* What may fail unnoticed: freeing, asking for versions, and loading what was
     * cached, which is compiled then. */
    print_message("%u calls, %u of %u that failed failed the whole\n", n, failed, tried);
    assert_true(failed > tried / 4);
}

static void every_call_fails_once(void **state)
{
    (void)state;
    assert_int_equal(use("each"), 0); /* kernels are in the cache from here on */
    fail_calls("each", 1);
    fail_calls("auto", 29); /* which copies megabytes to measure */
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 1;
    library = argv[1];
    find_switches();
    snprintf(root, sizeof root, "/tmp/m2c-test-cuda-XXXXXX");
    if (!mkdtemp(root))
        return 1;
    snprintf(cache, sizeof cache, "%s/cache", root);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_that_are_not_there),
        cmocka_unit_test(libraries_that_are_not_there),
        cmocka_unit_test(code_of_every_kind),
        cmocka_unit_test(a_kernel_that_does_not_compile),
        cmocka_unit_test(memory_that_is_not_there),
        cmocka_unit_test(copies_of_every_kind),
        cmocka_unit_test(waits_hold),
        cmocka_unit_test(lost_devices),
        cmocka_unit_test(every_call_fails_once),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command) != 0 || failed;
}
