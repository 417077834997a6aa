/* SPDX-License-Identifier: MIT */
/* RAPL through Linux powercap: every package and DRAM domain, counters in
 * microjoules that wrap at max_energy_range_uj. A subdomain of a package
 * (core, uncore) is part of it and is not counted again; DRAM is not part of
 * it. psys and intel-rapl-mmio see the same packages another way. Works on AMD
 * too, whose driver has the same names. Interface:
 * Documentation/power/powercap/powercap.rst of Linux. */
#include "meter/meter_impl.h"
#include "meter/sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DOMAINS = 64, PATH_BYTES = 512 };

/* No package or DRAM of one socket takes more, so a counter does not go round
 * sooner than its range at this power. */
#define MAX_W 1000.0

struct domain {
    char path[PATH_BYTES]; /* of energy_uj */
    enum m2c_component component;
    uint64_t last, range, sum; /* µJ; sum: since open */
};

struct rapl {
    unsigned n;
    struct domain d[MAX_DOMAINS];
};

static int fail(const char *path, int code, struct m2c_err *err)
{
    return m2c_fail(err, code == -EACCES ? code : -EIO, "rapl: %s: %s", path,
                    code == -EBADMSG ? "not a whole number" : strerror(-code));
}

static int fail_access(const char *path, const char *root, struct m2c_err *err)
{
    return m2c_fail(
        err, -EACCES,
        "rapl: %s may not be read; to allow it until the next start, as root: "
        "chmod a+r %s/intel-rapl:*/energy_uj; for good, a line 'z "
        "%s/intel-rapl:*/energy_uj "
        "0444' in /etc/tmpfiles.d/rapl.conf",
        path, root, root);
}

static bool component_of(const char *name, enum m2c_component *out)
{
    *out = strcmp(name, "dram") == 0 ? M2C_DRAM : M2C_CPU;
    return *out == M2C_DRAM || strncmp(name, "package", 7) == 0;
}

static bool join(char *out, const char *root, const char *zone, const char *file)
{
    int n = snprintf(out, PATH_BYTES, "%s/%s/%s", root, zone, file);
    return n > 0 && n < PATH_BYTES;
}

/* A zone that is counted becomes a domain; others are passed over. */
static int add_zone(struct rapl *s, const char *root, const char *zone,
                    struct m2c_err *err)
{
    char path[PATH_BYTES], name[64];
    if (s->n == MAX_DOMAINS)
        return m2c_fail(err, -E2BIG, "rapl: more than %d domains in %s", MAX_DOMAINS,
                        root);
    struct domain *d = &s->d[s->n];
    if (!join(path, root, zone, "max_energy_range_uj"))
        return m2c_fail(err, -ENAMETOOLONG, "rapl: %s: the path is too long", root);
    (void)join(path, root, zone, "name");
    int r = m2c_sysfs_line(path, name, sizeof name);
    if (r < 0)
        return fail(path, r, err);
    if (!component_of(name, &d->component))
        return 0;
    (void)join(path, root, zone, "max_energy_range_uj");
    r = m2c_sysfs_u64(path, &d->range);
    if (r < 0)
        return fail(path, r, err);
    if (d->range == 0)
        return m2c_fail(err, -EIO, "rapl: %s is 0", path);
    (void)join(d->path, root, zone, "energy_uj");
    r = m2c_sysfs_u64(d->path, &d->last);
    if (r < 0)
        return r == -EACCES ? fail_access(d->path, root, err) : fail(d->path, r, err);
    s->n++;
    return 0;
}

static int open_rapl(struct m2c_meter *m, struct m2c_err *err)
{
    struct rapl *s = m->priv;
    const char *root =
        m->cfg.powercap && m->cfg.powercap[0] ? m->cfg.powercap : "/sys/class/powercap";
    DIR *dir = opendir(root);
    if (!dir && errno == EACCES)
        return m2c_fail(err, -EACCES, "rapl: %s may not be read", root);
    if (!dir)
        return m2c_fail(err, -ENODEV, "rapl: %s: %s", root, strerror(errno));
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(dir));) {
        if (strncmp(e->d_name, "intel-rapl:", 11) == 0)
            r = add_zone(s, root, e->d_name, err);
    }
    closedir(dir);
    if (r == 0 && s->n == 0)
        r = m2c_fail(err, -ENODEV, "rapl: %s lists no package or DRAM domain", root);
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < s->n; i++)
        least = M2C_MIN(least, s->d[i].range);
    m->max_gap_ns = (uint64_t)M2C_MIN((double)least * 1e3 / MAX_W, 1e18);
    snprintf(m->source, sizeof m->source, "RAPL (%.100s), %u domains", root, s->n);
    return r;
}

/* What a counter gained, or false where no socket can have taken it: then it was
 * set anew, or went back, and how much was counted before is not known. */
static bool gained(const struct m2c_meter *m, const struct domain *d, uint64_t now,
                   uint64_t *out)
{
    uint64_t at_ns = m2c_meter_now(m);
    double s = at_ns > m->last_ns ? (double)(at_ns - m->last_ns) * 1e-9 : 0;
    *out = now >= d->last ? now - d->last : d->range - d->last + now;
    return (double)*out * 1e-6 <= 2 * MAX_W * (s + (double)m->tick_ns * 1e-9);
}

static int read_rapl(struct m2c_meter *m, const struct m2c_load *load,
                     struct m2c_reading *out, struct m2c_err *err)
{
    struct rapl *s = m->priv;
    (void)load;
    for (unsigned i = 0; i < s->n; i++) {
        struct domain *d = &s->d[i];
        uint64_t now = 0;
        int r = m2c_sysfs_u64(d->path, &now);
        if (r < 0)
            return fail(d->path, r, err);
        if (now > d->range)
            return m2c_fail(err, -EIO, "rapl: %s: %llu is above its range, %llu", d->path,
                            (unsigned long long)now, (unsigned long long)d->range);
        uint64_t more;
        if (gained(m, d, now, &more))
            d->sum += more;
        else
            m2c_meter_lose(m, "%.120s went back or jumped, from %llu to %llu", d->path,
                           (unsigned long long)d->last, (unsigned long long)now);
        d->last = now;
        out->uj[d->component] += d->sum;
        out->how[d->component] = M2C_MEASURED;
    }
    return 0;
}

const struct m2c_meter_ops m2c_meter_rapl = {
    .p = {.name = "rapl",
          .desc = "RAPL counters through Linux powercap",
          .priv_size = sizeof(struct rapl)},
    .how = M2C_MEASURED,
    .tick_ns = 1000000, /* the hardware's update period, about 1 ms */
    .open = open_rapl,
    .read = read_rapl,
};
