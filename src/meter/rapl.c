/* SPDX-License-Identifier: MIT */
/* RAPL through Linux powercap: every package and DRAM domain, counters in
 * microjoules that wrap at max_energy_range_uj. A subdomain of a package
 * (core, uncore) is part of it and is not counted again; DRAM is not part of
 * it. */
#include "meter/meter_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DOMAINS = 64 };

struct domain {
    char path[512]; /* of energy_uj */
    enum m2c_component component;
    uint64_t last, range; /* µJ */
    double sum;           /* J since open */
};

struct rapl {
    unsigned n;
    struct domain d[MAX_DOMAINS];
};

static int read_u64(const char *path, uint64_t *out)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    unsigned long long v;
    int n = fscanf(f, "%llu", &v);
    fclose(f);
    *out = v;
    return n == 1 ? 0 : -EIO;
}

static bool component_of(const char *name, enum m2c_component *out)
{
    *out = strcmp(name, "dram") == 0 ? M2C_DRAM : M2C_CPU;
    return *out == M2C_DRAM || strncmp(name, "package", 7) == 0;
}

/* A zone that is counted becomes a domain; others are passed over. */
static int add_zone(struct rapl *s, const char *root, const char *zone,
                    struct m2c_err *err)
{
    char path[480], name[64] = "";
    struct domain *d = &s->d[s->n];
    snprintf(path, sizeof path, "%s/%s/name", root, zone);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    if (!fgets(name, sizeof name, f))
        name[0] = 0;
    fclose(f);
    name[strcspn(name, "\n")] = 0;
    if (!component_of(name, &d->component))
        return 0;
    if (s->n == MAX_DOMAINS)
        return m2c_fail(err, -E2BIG, "rapl: more than %d domains", MAX_DOMAINS);
    snprintf(path, sizeof path, "%s/%s/max_energy_range_uj", root, zone);
    int r = read_u64(path, &d->range);
    if (r < 0)
        return m2c_fail(err, r, "%s: %s", path, strerror(-r));
    snprintf(d->path, sizeof d->path, "%.440s/%.32s/energy_uj", root, zone);
    r = read_u64(d->path, &d->last);
    if (r == -EACCES)
        return m2c_fail(err, r,
                        "%s: not allowed to be read; as root: chmod o+r %s/*/energy_uj",
                        d->path, root);
    if (r < 0)
        return m2c_fail(err, r, "%s: %s", d->path, strerror(-r));
    s->n++;
    return 0;
}

static int open_rapl(struct m2c_meter *m, struct m2c_err *err)
{
    struct rapl *s = m->priv;
    const char *root = m->cfg.powercap && m->cfg.powercap[0] ? m->cfg.powercap
                                                             : "/sys/class/powercap";
    DIR *dir = opendir(root);
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
    snprintf(m->source, sizeof m->source, "RAPL (%.100s), %u domains", root, s->n);
    return r;
}

static int read_rapl(struct m2c_meter *m, const struct m2c_load *load,
                     struct m2c_reading *out, struct m2c_err *err)
{
    struct rapl *s = m->priv;
    (void)load;
    for (unsigned i = 0; i < s->n; i++) {
        struct domain *d = &s->d[i];
        uint64_t now = 0;
        int r = read_u64(d->path, &now);
        if (r < 0)
            return m2c_fail(err, -EIO, "%s: %s", d->path, strerror(-r));
        uint64_t moved = now >= d->last ? now - d->last : d->range - d->last + now;
        if (now < d->last && d->last > d->range)
            return m2c_fail(err, -EIO, "%s: went back from %llu to %llu, range %llu", d->path,
                            (unsigned long long)d->last, (unsigned long long)now,
                            (unsigned long long)d->range);
        d->sum += (double)moved * 1e-6;
        d->last = now;
        out->known[d->component] = true;
        out->joules[d->component] += d->sum;
    }
    return 0;
}

const struct m2c_meter_ops m2c_meter_rapl = {
    .p = {.name = "rapl",
          .desc = "RAPL counters through Linux powercap",
          .priv_size = sizeof(struct rapl)},
    .measures = true,
    .window_s = 0.05, /* counters tick each millisecond: 50 ticks, 2 % */
    .open = open_rapl,
    .read = read_rapl,
};
