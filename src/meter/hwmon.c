/* SPDX-License-Identifier: MIT */
/* GPUs through Linux hwmon: AMD's (amdgpu: power, sampled) and Intel's discrete ones
 * (i915, xe: an energy counter). Interfaces: Documentation/gpu/amdgpu/thermal.rst,
 * Documentation/ABI/testing/sysfs-driver-intel-{i915,xe}-hwmon, both of Linux.
 *
 * An AMD processor with graphics (which alone has a voltage "vddnb") reports the
 * power of its cores too, which RAPL counts already: it is passed over. Intel's
 * counter is fed from a register of 32 bits, so it has to be read now and then,
 * though itself it is of 64. */
#include "base/opt.h"
#include "meter/meter_impl.h"
#include "meter/sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 512, MAX_GPUS = 64 };

/* No card takes more. */
#define MAX_W 2000.0

/* No study of these sensors gives a window or an error. Taken: the 5 % that
 * NVIDIA's have, renewals every 100 ms, and for an "average" one of 1 s. Readings
 * are of whole watts on many cards. */
static const struct m2c_sensor instant = {
    .period_ns = 100000000, .lag_ns = 50000000, .seen = 1, .gain = 0.05, .coarse = true};
static const struct m2c_sensor average = {
    .period_ns = 100000000, .lag_ns = 500000000, .seen = 1, .gain = 0.05, .coarse = true};

/* Intel's registers count 2^32 units of 2^-14 J at least. */
static const double INTEL_RANGE_J = 262144;

struct gpu {
    char driver[16], folder[PATH_BYTES], address[64]; /* of PCI, "" when not known */
};

struct hwmon {
    char value[PATH_BYTES + 32]; /* the file that is read */
    uint64_t last_uj, sum_uj, last_ns;
};

static bool file_of(const struct gpu *g, const char *file, char out[PATH_BYTES + 32])
{
    int n = snprintf(out, PATH_BYTES + 32, "%s/%s", g->folder, file);
    return n > 0 && n < PATH_BYTES + 32 && access(out, F_OK) == 0;
}

static bool with_cores(const struct gpu *g)
{
    char path[PATH_BYTES + 32], label[16] = "";
    return file_of(g, "in1_label", path) &&
           m2c_sysfs_line(path, label, sizeof label) == 0 && strcmp(label, "vddnb") == 0;
}

/* Whether hwmon<i> is a GPU that can be measured. */
static bool is_gpu(struct gpu *g, const char *root, const char *entry)
{
    static const char *const drivers[] = {"amdgpu", "i915", "xe", NULL};
    char path[PATH_BYTES + 32], target[PATH_BYTES];
    int n = snprintf(g->folder, sizeof g->folder, "%s/%s", root, entry);
    if (n <= 0 || n >= PATH_BYTES || !file_of(g, "name", path) ||
        m2c_sysfs_line(path, g->driver, sizeof g->driver) < 0)
        return false;
    const char *const *d = drivers;
    while (*d && strcmp(*d, g->driver) != 0)
        d++;
    if (!*d || with_cores(g))
        return false;
    g->address[0] = 0;
    snprintf(path, sizeof path, "%s/device", g->folder);
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len > 0) {
        target[len] = 0;
        const char *slash = strrchr(target, '/');
        snprintf(g->address, sizeof g->address, "%.63s", slash ? slash + 1 : target);
    }
    return file_of(g, "energy1_input", path) || file_of(g, "power1_input", path) ||
           file_of(g, "power1_average", path);
}

static int by_folder(const void *a, const void *b)
{
    const char *x = ((const struct gpu *)a)->folder, *y = ((const struct gpu *)b)->folder;
    size_t n = strlen(x), k = strlen(y); /* hwmon10 after hwmon9 */
    return n != k ? (n > k) - (n < k) : strcmp(x, y);
}

static int list_gpus(const char *root, struct gpu *gpus, unsigned *n, struct m2c_err *err)
{
    DIR *dir = opendir(root);
    *n = 0;
    if (!dir)
        return m2c_fail(err, errno == EACCES ? -EACCES : -ENODEV, "hwmon: %s: %s", root,
                        strerror(errno));
    for (struct dirent *e; *n < MAX_GPUS && (e = readdir(dir));) {
        if (strncmp(e->d_name, "hwmon", 5) == 0 && is_gpu(&gpus[*n], root, e->d_name))
            ++*n;
    }
    closedir(dir);
    qsort(gpus, *n, sizeof *gpus, by_folder);
    return *n ? 0
              : m2c_fail(err, -ENODEV, "hwmon: %s lists no GPU that measures itself",
                         root);
}

static int choose(const struct gpu *gpus, unsigned n, const char *which,
                  const struct gpu **out, struct m2c_err *err)
{
    int64_t i = 0;
    if (!which || !which[0]) {
        *out = gpus;
        return n == 1
                   ? 0
                   : m2c_fail(err, -EINVAL,
                              "hwmon: there are %u GPUs, and which one is measured must "
                              "be said (meter.gpu): 0 to %u, or a PCI address",
                              n, n - 1);
    }
    bool number = m2c_parse_int(which, 0, INT_MAX, &i, NULL) == 0;
    for (unsigned k = 0; k < n; k++) {
        *out = &gpus[k];
        if (number ? k == i : strcmp(which, gpus[k].address) == 0)
            return 0;
    }
    return m2c_fail(err, -EINVAL, "hwmon: no GPU '%s' among %u", which, n);
}

/* ---- the source ---- */

static int fail(const struct hwmon *s, int r, struct m2c_err *err)
{
    if (r == -EACCES)
        return m2c_fail(err, r,
                        "hwmon: %s may not be read; to allow it until the next start, as "
                        "root: chmod a+r %s",
                        s->value, s->value);
    return m2c_fail(err, r == -ENOENT || r == -ENODEV ? -ENODEV : -EIO, "hwmon: %s: %s",
                    s->value, r == -EBADMSG ? "not a whole number" : strerror(-r));
}

static int probe(void *ctx, double *watts, struct m2c_err *err)
{
    const struct hwmon *s = ctx;
    uint64_t uw = 0;
    int r = m2c_sysfs_u64(s->value, &uw);
    if (r < 0)
        return fail(s, r, err);
    if (uw == 0)
        return m2c_fail(err, -EIO, "hwmon: %s reports 0 W, which is no reading",
                        s->value);
    *watts = (double)uw * 1e-6;
    return 0;
}

static int open_counter(struct m2c_meter *m, struct m2c_err *err)
{
    struct hwmon *s = m->priv;
    int r = m2c_sysfs_u64(s->value, &s->last_uj);
    if (r < 0)
        return fail(s, r, err);
    s->last_ns = m2c_meter_now(m);
    m->tick_ns = 100000000;
    m->max_gap_ns = (uint64_t)(INTEL_RANGE_J / MAX_W * 1e9);
    return 0;
}

static int open_power(struct m2c_meter *m, const struct gpu *g, struct m2c_err *err)
{
    struct hwmon *s = m->priv;
    char cap[PATH_BYTES + 32];
    uint64_t uw = 0;
    bool averaged = !file_of(g, "power1_input", s->value);
    if (averaged)
        (void)file_of(g, "power1_average", s->value);
    struct m2c_power_cfg cfg = {.sensor = averaged ? average : instant,
                                .period_ns = (uint64_t)(m->cfg.period_ms * 1e6),
                                .probe = probe,
                                .ctx = s,
                                .clock = m->cfg.clock};
    if (file_of(g, "power1_cap", cap) && m2c_sysfs_u64(cap, &uw) == 0)
        cfg.sensor.limit_w = (double)uw * 1e-6;
    int r = m2c_power_open(&m->sampler, &cfg, err);
    if (r == 0)
        m->tick_ns = M2C_MAX(cfg.sensor.period_ns, m2c_power_period_ns(m->sampler));
    return r;
}

static int open_hwmon(struct m2c_meter *m, struct m2c_err *err)
{
    struct hwmon *s = m->priv;
    const char *root =
        m->cfg.hwmon && m->cfg.hwmon[0] ? m->cfg.hwmon : "/sys/class/hwmon";
    struct gpu *gpus = calloc(MAX_GPUS, sizeof *gpus);
    const struct gpu *g = NULL;
    unsigned n = 0;
    if (!gpus)
        return m2c_fail(err, -ENOMEM, "hwmon: out of memory");
    int r = list_gpus(root, gpus, &n, err);
    if (r == 0)
        r = choose(gpus, n, m->cfg.gpu, &g, err);
    bool counter = r == 0 && file_of(g, "energy1_input", s->value);
    if (r == 0)
        r = counter ? open_counter(m, err) : open_power(m, g, err);
    if (r == 0)
        snprintf(m->source, sizeof m->source, "hwmon, %s %.40s: %s (%.100s)", g->driver,
                 g->address,
                 counter ? "energy counter" : "power, added up; +-5 % assumed", s->value);
    free(gpus);
    return r;
}

static void close_hwmon(struct m2c_meter *m)
{
    m2c_power_close(m->sampler);
}

static int read_counter(struct m2c_meter *m, struct m2c_reading *out, struct m2c_err *err)
{
    struct hwmon *s = m->priv;
    uint64_t uj = 0, now = m2c_meter_now(m);
    int r = m2c_sysfs_u64(s->value, &uj);
    if (r < 0)
        return fail(s, r, err);
    double dt = now > s->last_ns ? (double)(now - s->last_ns) * 1e-9 : 0;
    if (uj < s->last_uj || (double)(uj - s->last_uj) > 1e6 * MAX_W * (dt + 0.2))
        m2c_meter_lose(m, "the counter went back or jumped, from %llu to %llu uJ",
                       (unsigned long long)s->last_uj, (unsigned long long)uj);
    else
        s->sum_uj += uj - s->last_uj;
    s->last_uj = uj;
    s->last_ns = now;
    out->uj[M2C_GPU] = s->sum_uj;
    return 0;
}

static int read_hwmon(struct m2c_meter *m, const struct m2c_load *load,
                      struct m2c_reading *out, struct m2c_err *err)
{
    (void)load;
    return m2c_meter_read_gpu(m, read_counter, out, err);
}

const struct m2c_meter_ops m2c_meter_hwmon = {
    .p = {.name = "hwmon",
          .desc = "AMD's and Intel's cards through Linux hwmon",
          .priv_size = sizeof(struct hwmon)},
    .how = M2C_MEASURED,
    .open = open_hwmon,
    .close = close_hwmon,
    .read = read_hwmon,
};
