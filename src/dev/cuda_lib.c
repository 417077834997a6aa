/* SPDX-License-Identifier: MIT */
/* The CUDA libraries, opened at run time: the driver comes with the card's
 * driver, NVRTC and cuBLAS with a toolkit or by themselves, in one of several
 * major versions. Invariant: an open library has its whole table. */
#define _DEFAULT_SOURCE /* RTLD_NODELETE */
#include "dev/cuda_impl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where toolkits are that the loader was not told of. */
static const char toolkit[] = "/usr/local/cuda/lib64";

/* Drivers do not like to be unloaded and initialised again, as every point of
 * a sweep would have it: closing only drops the reference. */
enum { HOW = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE };

struct entry {
    const char *symbol;
    size_t offset; /* of the pointer in the table */
};

#define ROW_CU(member, symbol, result, params) {symbol, offsetof(struct m2c_cu, member)},
#define ROW_RTC(member, symbol, result, params)                                          \
    {symbol, offsetof(struct m2c_nvrtc, member)},
#define ROW_BLAS(member, symbol, result, params)                                         \
    {symbol, offsetof(struct m2c_cublas, member)},

static const struct entry cu_entries[] = {M2C_CU_ENTRIES(ROW_CU){NULL, 0}};
static const struct entry cu_optional[] = {M2C_CU_OPTIONAL(ROW_CU){NULL, 0}};
static const struct entry rtc_entries[] = {M2C_NVRTC_ENTRIES(ROW_RTC){NULL, 0}};
static const struct entry blas_entries[] = {M2C_CUBLAS_ENTRIES(ROW_BLAS){NULL, 0}};

/* The name of the first entry that is not there, or NULL. */
static const char *fill(void *lib, const struct entry *e, void *table)
{
    for (; e->symbol; e++) {
        void *p = dlsym(lib, e->symbol);
        if (!p)
            return e->symbol;
        memcpy((char *)table + e->offset, &p, sizeof p);
    }
    return NULL;
}

/* In `dir` if it is there, else as the system's loader finds it, else in the
 * toolkit's usual place. Why it failed is added to `err`. */
static void *open_lib(const char *dir, const char *name, char out[256],
                      struct m2c_err *err)
{
    char said[256];
    if (dir && dir[0]) {
        snprintf(out, 256, "%s/%s", dir, name);
        if (access(out, F_OK) == 0) {
            void *lib = dlopen(out, HOW);
            if (!lib)
                m2c_fail(err, -ENODEV, "%s", dlerror());
            return lib;
        }
    }
    snprintf(out, 256, "%s", name);
    void *lib = dlopen(name, HOW);
    if (lib)
        return lib;
    snprintf(said, sizeof said, "%s", dlerror());
    snprintf(out, 256, "%s/%s", toolkit, name);
    lib = access(out, F_OK) == 0 ? dlopen(out, HOW) : NULL;
    if (!lib)
        m2c_fail(err, -ENODEV, "%s", said);
    return lib;
}

int m2c_cuda_open_driver(struct m2c_cu *cu, const char *dir, struct m2c_err *err)
{
    struct m2c_err own = {0};
    cu->lib = open_lib(dir, "libcuda.so.1", cu->name, &own);
    if (!cu->lib)
        return m2c_fail(err, -ENODEV,
                        "there is no NVIDIA driver (%s; it comes with the card's driver, "
                        "as Debian's libcuda1)",
                        own.msg);
    const char *lacks = fill(cu->lib, cu_entries, cu);
    if (lacks)
        return m2c_fail(err, -ENODEV, "%s is too old or no NVIDIA driver: it lacks %s",
                        cu->name, lacks);
    for (const struct entry *e = cu_optional; e->symbol; e++) {
        const struct entry one[] = {*e, {NULL, 0}};
        fill(cu->lib, one, cu);
    }
    return 0;
}

/* ---- NVRTC ---- */

/* The newest architecture up to `arch` that it makes code for, or 0. */
static unsigned nearest_arch(const struct m2c_nvrtc *rtc, unsigned arch)
{
    int n = 0, archs[256];
    unsigned best = 0;
    if (rtc->n_archs(&n) || n < 0 || n > (int)M2C_COUNTOF(archs) || rtc->archs(archs))
        return 0;
    for (int i = 0; i < n; i++) {
        if (archs[i] > 0 && (unsigned)archs[i] <= arch)
            best = M2C_MAX(best, (unsigned)archs[i]);
    }
    return best;
}

/* PTX is what a driver turns into code for cards that are newer than NVRTC, if
 * the driver is as new as that. */
static int try_nvrtc(struct m2c_cuda *c, bool ptx, struct m2c_err *err)
{
    struct m2c_nvrtc *rtc = &c->nvrtc;
    int major = 0, minor = 0;
    const char *lacks = fill(rtc->lib, rtc_entries, rtc);
    if (lacks)
        return m2c_fail(err, -ENOTSUP, "%s lacks %s", rtc->name, lacks);
    if (rtc->version(&major, &minor))
        return m2c_fail(err, -ENOTSUP, "%s does not say its version", rtc->name);
    if (major > c->driver / 1000 || (ptx && 1000 * major + 10 * minor > c->driver))
        return m2c_fail(err, -ENOTSUP, "%s is of CUDA %d.%d, the driver of %d.%d",
                        rtc->name, major, minor, c->driver / 1000, c->driver % 1000 / 10);
    c->code_arch = nearest_arch(rtc, c->arch);
    c->ptx = ptx;
    if (c->code_arch == 0 || (!ptx && c->code_arch != c->arch))
        return m2c_fail(err, -ENOTSUP, "%s (CUDA %d.%d) makes no code for sm_%u", rtc->name,
                        major, minor, c->arch);
    return 0;
}

/* Why each of the versions will not do, in one line. */
static void tell(struct m2c_err *all, const char *one)
{
    size_t n = strlen(all->msg);
    snprintf(all->msg + n, sizeof all->msg - n, "%s%.200s", n ? "; " : "", one);
}

/* Code that is made by a newer major version than the driver's does not load,
 * and each major version drops old cards, so the newest is not always right. */
int m2c_cuda_open_nvrtc(struct m2c_cuda *c, const char *dir, struct m2c_err *err)
{
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12",
                                        "libnvrtc.so.11.2"};
    struct m2c_nvrtc *rtc = &c->nvrtc;
    struct m2c_err all = {0};
    for (size_t i = 0; i < 2 * M2C_COUNTOF(names); i++) {
        struct m2c_err own = {0};
        const bool ptx = i >= M2C_COUNTOF(names);
        rtc->lib = open_lib(dir, names[i % M2C_COUNTOF(names)], rtc->name, &own);
        if (rtc->lib && try_nvrtc(c, ptx, &own) == 0)
            return 0;
        if (!ptx)
            tell(&all, own.msg);
        if (rtc->lib)
            dlclose(rtc->lib);
        rtc->lib = NULL;
    }
    return m2c_fail(err, -ENOTSUP,
                    "no NVRTC that compiles for sm_%u and the driver's CUDA %d.%d: %.400s. "
                    "It is in the CUDA toolkit, and in the PyPI package "
                    "nvidia-cuda-nvrtc%s, whose folder device.library can name",
                    c->arch, c->driver / 1000, c->driver % 1000 / 10, all.msg,
                    c->driver >= 13000 && c->arch >= 75 ? ""
                    : c->driver >= 12000                ? "-cu12"
                                                        : "-cu11");
}

int m2c_cuda_open_cublas(struct m2c_cublas *blas, const char *dir, int driver,
                         struct m2c_err *err)
{
    static const struct {
        int major;
        const char *name;
    } versions[] = {{13, "libcublas.so.13"}, {12, "libcublas.so.12"},
                    {11, "libcublas.so.11"}};
    struct m2c_err all = {0};
    for (size_t i = 0; i < M2C_COUNTOF(versions); i++) {
        struct m2c_err own = {0};
        if (versions[i].major > driver / 1000)
            continue;
        blas->lib = open_lib(dir, versions[i].name, blas->name, &own);
        const char *lacks = blas->lib ? fill(blas->lib, blas_entries, blas) : NULL;
        if (blas->lib && !lacks)
            return 0;
        if (lacks)
            m2c_fail(&own, -ENOTSUP, "%s lacks %s", blas->name, lacks);
        tell(&all, own.msg);
        if (blas->lib)
            dlclose(blas->lib);
        blas->lib = NULL;
    }
    return m2c_fail(err, -ENOTSUP, "no cuBLAS: %s", all.msg);
}

void m2c_cuda_close_libs(struct m2c_cuda *c)
{
    if (c->cublas.lib)
        dlclose(c->cublas.lib);
    if (c->nvrtc.lib)
        dlclose(c->nvrtc.lib);
    if (c->cu.lib)
        dlclose(c->cu.lib);
}

/* ---- errors ---- */

static int errno_of(int code)
{
    switch (code) {
    case M2C_CU_OUT_OF_MEMORY:
        return -ENOMEM;
    case M2C_CU_NO_DEVICE:
    case M2C_CU_INVALID_DEVICE:
        return -ENODEV;
    default:
        return -EIO;
    }
}

int m2c_cuda_check(const struct m2c_cu *cu, int code, const char *what,
                   struct m2c_err *err)
{
    const char *name = NULL, *text = NULL;
    if (code == M2C_CU_OK)
        return 0;
    cu->error_name(code, &name);
    cu->error_text(code, &text);
    if (!name)
        return m2c_fail(err, errno_of(code), "%s: error %d of the driver", what, code);
    return m2c_fail(err, errno_of(code), "%s: %s (%s)", what, name, text ? text : "");
}
