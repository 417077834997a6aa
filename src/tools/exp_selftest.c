/* SPDX-License-Identifier: MIT */
/* Which devices a sweep uses, and a self-test of each. */
#include "tools/exp_selftest.h"

#include "dev/dev.h"
#include "exp/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys of [device] by which one device, or its kernels, differ from another. */
static const char *const keys[] = {"backend", "platform", "index",   "isa",  "gemm",
                                   "copy",    "library",  "profile", "cache"};

static const char *value(const struct m2c_optset *set, const char *key)
{
    return m2c_optset_get(set, "device", key);
}

static bool same_device(const struct m2c_optset *a, const struct m2c_optset *b)
{
    for (size_t i = 0; i < M2C_COUNTOF(keys); i++)
        if (strcmp(value(a, keys[i]), value(b, keys[i])) != 0)
            return false;
    return strcmp(m2c_optset_get(a, "ssd", "profile"),
                  m2c_optset_get(b, "ssd", "profile")) == 0;
}

/* A simulated device says so, before anything else does, and computes nothing. */
static int test(const struct m2c_optset *set, bool *wrong, struct m2c_err *err)
{
    struct m2c_dev *dev = NULL;
    struct m2c_dev_cfg cfg = {.backend = value(set, "backend"),
                              .platform = value(set, "platform"),
                              .isa = value(set, "isa"),
                              .gemm = value(set, "gemm"),
                              .copy = value(set, "copy"),
                              .library = value(set, "library"),
                              .cache = value(set, "cache"),
                              .profile = value(set, "profile"),
                              .ssd_profile = m2c_optset_get(set, "ssd", "profile"),
                              .index = (int)strtol(value(set, "index"), NULL, 10)};
    int r = m2c_dev_open(&dev, &cfg, err);
    bool simulated = r == 0 && m2c_dev_info(dev)->simulated;
    if (simulated)
        printf("SIMULATED, nothing is measured: %s\n", m2c_dev_info(dev)->name);
    if (r == 0 && !simulated && strcmp(cfg.backend, "null") != 0) /* computes nothing */
        r = m2c_dev_selftest(dev, err);
    *wrong = r < 0 && dev;
    m2c_dev_close(dev);
    return r;
}

/* Devices are few, however many points there are. */
static bool is_new(const struct m2c_sweep *s, uint32_t i, const uint32_t *seen,
                   uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (same_device(s->point[i].set, s->point[seen[k]].set))
            return false;
    return true;
}

int m2c_exp_selftest(const struct m2c_optset *set, struct m2c_log *log, bool *wrong,
                     struct m2c_err *err)
{
    struct m2c_sweep sweep;
    uint32_t n = 0, opened = 0;
    *wrong = false;
    int r = m2c_sweep_expand(set, &sweep, err);
    if (r < 0)
        return r;
    uint32_t *seen = calloc(sweep.n ? sweep.n : 1, sizeof(*seen));
    int first = 0; /* what the first one that could not be opened says */
    r = seen ? 0 : m2c_fail(err, -ENOMEM, "self-test: out of memory");
    for (uint32_t i = 0; i < sweep.n && r == 0; i++) {
        struct m2c_err why = {0};
        if (!is_new(&sweep, i, seen, n))
            continue;
        seen[n++] = i;
        int t = test(sweep.point[i].set, wrong, &why);
        opened += t == 0;
        if (*wrong) {
            r = m2c_fail(err, t, "device.backend = %s: %s",
                         value(sweep.point[i].set, "backend"), why.msg);
        } else if (t < 0) {
            if (first == 0)
                first = m2c_fail(err, t, "%s", why.msg);
            m2c_log(log, M2C_LOG_WARN, "device.backend = %s: %s; its points will fail",
                    value(sweep.point[i].set, "backend"), why.msg);
        }
    }
    free(seen);
    m2c_sweep_free(&sweep);
    return r < 0 || opened ? r : first;
}
