/* SPDX-License-Identifier: MIT */
/* NVIDIA's cards through NVML, opened at run time: the driver's energy counter
 * where the card has one (Volta and newer), else power sampled and added up.
 *
 * The counter is taken to come from the same sensor as the power (no study says
 * otherwise), so it has the same band. It counts mJ since the driver was loaded.
 * One that goes back has been set anew, unless the step fits a counter of 32
 * bits that went round. A reading of 0 is no reading. */
#include "base/opt.h"
#include "meter/gpu_sensor.h"
#include "meter/meter_impl.h"
#include "meter/nvml_abi.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No card takes more; only where it names no limit of its own. */
#define MAX_W 2000.0

struct nvml {
    struct m2c_nv api;
    bool initialised, instant;
    m2c_nv_device dev;
    char name[96];
    struct m2c_sensor sensor;
    unsigned long long last_mj, sum_mj;
    uint64_t last_ns, changes;
    double err_j;
};

/* ---- the library ---- */

struct entry {
    const char *symbol;
    size_t offset;
};
#define ENTRY(member, symbol, parameters) {symbol, offsetof(struct m2c_nv, member)},
static const struct entry needed[] = {
    M2C_NV_ENTRIES(ENTRY){"nvmlErrorString", offsetof(struct m2c_nv, error_text)}};
static const struct entry optional[] = {M2C_NV_OPTIONAL(ENTRY){NULL, 0}};

static bool fill(struct m2c_nv *api, const struct entry *e)
{
    void *p = dlsym(api->lib, e->symbol);
    if (p)
        memcpy((char *)api + e->offset, &p, sizeof p);
    return p != NULL;
}

static int open_library(struct m2c_nv *api, const char *name, struct m2c_err *err)
{
    if (!name || !name[0])
        name = "libnvidia-ml.so.1";
    api->lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!api->lib)
        return m2c_fail(err, -ENODEV,
                        "nvml: there is no NVIDIA driver (%s; the library comes with it)",
                        dlerror());
    for (size_t i = 0; i < M2C_COUNTOF(needed); i++) {
        if (!fill(api, &needed[i]))
            return m2c_fail(err, -ENODEV, "nvml: %s is too old or no NVML: it lacks %s",
                            name, needed[i].symbol);
    }
    for (size_t i = 0; optional[i].symbol; i++)
        (void)fill(api, &optional[i]);
    return 0;
}

static int fail(const struct nvml *s, int code, const char *what, struct m2c_err *err)
{
    const char *text = s->api.error_text(code);
    int r = code == M2C_NV_NO_DRIVER || code == M2C_NV_LOST ||
                    code == M2C_NV_RESET_REQUIRED || code == M2C_NV_NOT_SUPPORTED ||
                    code == M2C_NV_GPU_NOT_FOUND || code == M2C_NV_NOT_FOUND
                ? -ENODEV
            : code == M2C_NV_NO_PERMISSION ? -EACCES
                                           : -EIO;
    return m2c_fail(err, r, "nvml: %s%s%s: %.80s", s->name, s->name[0] ? ": " : "", what,
                    text ? text : "an error without a text");
}

/* ---- the card ---- */

static int find_card(struct nvml *s, const char *which, struct m2c_err *err)
{
    unsigned n = 0;
    int code = s->api.count(&n);
    if (code != M2C_NV_OK)
        return fail(s, code, "the number of cards", err);
    if (n == 0)
        return m2c_fail(err, -ENODEV, "nvml: the driver has no card");
    if (!which || !which[0]) {
        if (n > 1)
            return m2c_fail(err, -EINVAL,
                            "nvml: there are %u cards, and which one is measured must be "
                            "said (meter.gpu): 0 to %u, a UUID or a PCI address",
                            n, n - 1);
        which = "0";
    }
    int64_t i;
    if (m2c_parse_int(which, 0, UINT_MAX, &i, NULL) == 0)
        code = s->api.by_index((unsigned)i, &s->dev);
    else if (strchr(which, ':'))
        code = s->api.by_pci(which, &s->dev);
    else
        code = s->api.by_uuid(which, &s->dev);
    if (code != M2C_NV_OK)
        return m2c_fail(err, -EINVAL, "nvml: no card '%s' among %u: %.80s", which, n,
                        s->api.error_text(code));
    code = s->api.name(s->dev, s->name, sizeof s->name);
    s->name[sizeof s->name - 1] = 0;
    return code == M2C_NV_OK ? 0 : fail(s, code, "its name", err);
}

/* The instant reading; false where the card has none. */
static bool instant_w(const struct nvml *s, double *watts)
{
    struct m2c_nv_field f = {.id = M2C_NV_POWER_INSTANT};
    if (!s->api.fields || s->api.fields(s->dev, 1, &f) != M2C_NV_OK ||
        f.result != M2C_NV_OK || f.type != M2C_NV_UNSIGNED_INT || f.value.u == 0)
        return false;
    *watts = f.value.u * 1e-3;
    return true;
}

static int probe(void *ctx, double *watts, struct m2c_err *err)
{
    const struct nvml *s = ctx;
    unsigned mw = 0;
    if (s->instant && instant_w(s, watts))
        return 0;
    int code = s->api.power(s->dev, &mw);
    if (code != M2C_NV_OK)
        return fail(s, code, "power", err);
    if (s->instant) /* another sensor's value would be a step that never was */
        return m2c_fail(err, -EIO, "nvml: %s: the instant power is gone", s->name);
    if (mw == 0)
        return m2c_fail(err, -EIO, "nvml: %s: it reports 0 W, which is no reading",
                        s->name);
    *watts = mw * 1e-3;
    return 0;
}

static void learn_card(struct nvml *s)
{
    int major = 999, minor = 0; /* as a card that is newer than all studies */
    unsigned mw = 0;
    double watts;
    if (s->api.capability && s->api.capability(s->dev, &major, &minor) != M2C_NV_OK)
        major = 999;
    s->instant = instant_w(s, &watts);
    m2c_gpu_sensor(major, minor, s->name, s->instant, &s->sensor);
    if (s->api.limit && s->api.limit(s->dev, &mw) == M2C_NV_OK)
        s->sensor.limit_w = mw * 1e-3;
}

static bool has_counter(struct nvml *s)
{
    return s->api.energy && s->api.energy(s->dev, &s->last_mj) == M2C_NV_OK &&
           s->last_mj > 0;
}

static int open_sampler(struct m2c_meter *m, struct m2c_err *err)
{
    struct nvml *s = m->priv;
    struct m2c_power_cfg cfg = {.sensor = s->sensor,
                                .period_ns = (uint64_t)(m->cfg.period_ms * 1e6),
                                .probe = probe,
                                .ctx = s,
                                .clock = m->cfg.clock};
    return m2c_power_open(&m->sampler, &cfg, err);
}

static int open_nvml(struct m2c_meter *m, struct m2c_err *err)
{
    struct nvml *s = m->priv;
    int r = open_library(&s->api, m->cfg.nvml, err);
    if (r < 0)
        return r;
    int code = s->api.init();
    if (code != M2C_NV_OK)
        return fail(s, code, "start", err);
    s->initialised = true;
    r = find_card(s, m->cfg.gpu, err);
    if (r < 0)
        return r;
    learn_card(s);
    bool counter = !m->cfg.gpu_sampled && has_counter(s);
    if (!counter)
        r = open_sampler(m, err);
    if (r < 0)
        return r;
    s->last_ns = m2c_meter_now(m);
    m->tick_ns = counter ? s->sensor.period_ns
                         : M2C_MAX(s->sensor.period_ns, m2c_power_period_ns(m->sampler));
    char how[64] = "energy counter";
    if (!counter)
        snprintf(how, sizeof how, "%s every %g ms, added up",
                 s->instant ? "instant power" : "power",
                 (double)m2c_power_period_ns(m->sampler) * 1e-6);
    snprintf(m->source, sizeof m->source,
             "NVML, %s: %s; sensor renewed every %g ms, +-%g %%, sees %g %% of the time, "
             "%g ms late",
             s->name, how, (double)s->sensor.period_ns * 1e-6, s->sensor.gain * 100,
             s->sensor.seen * 100, (double)s->sensor.lag_ns * 1e-6);
    return 0;
}

static void close_nvml(struct m2c_meter *m)
{
    struct nvml *s = m->priv;
    m2c_power_close(m->sampler); /* its thread calls the library */
    if (s->initialised)
        s->api.shutdown();
    if (s->api.lib)
        dlclose(s->api.lib);
}

/* ---- readings ---- */

static double limit_w(const struct nvml *s)
{
    return s->sensor.limit_w > 0 ? s->sensor.limit_w : MAX_W;
}

/* Adds what the counter gained since the last reading. */
static void count(struct m2c_meter *m, unsigned long long mj, uint64_t now_ns)
{
    struct nvml *s = m->priv;
    const unsigned long long wrap = 1ull << 32;
    double dt = now_ns > s->last_ns ? (double)(now_ns - s->last_ns) * 1e-9 : 0;
    double limit = limit_w(s);
    /* twice the limit, for peaks; a renewal or two may come at once */
    double most_mj = 2e3 * limit * (dt + 2e-9 * (double)s->sensor.period_ns);
    bool back = mj < s->last_mj;
    unsigned long long more = !back               ? mj - s->last_mj
                              : s->last_mj < wrap ? wrap - s->last_mj + mj
                                                  : ULLONG_MAX;
    if ((double)more > most_mj) {
        m2c_meter_lose(m, "the counter went %s, from %llu to %llu mJ",
                       back ? "back" : "faster than the card can", s->last_mj, mj);
        more = 0;
    } else if (dt > 0) {
        double mean = (double)more * 1e-3 / dt;
        s->err_j += dt * (s->sensor.gain * mean +
                          (1 - s->sensor.seen) * M2C_MAX(mean, limit - mean));
    }
    s->changes += more > 0;
    s->sum_mj += more;
    s->last_mj = mj;
    s->last_ns = now_ns;
}

static int read_counter(struct m2c_meter *m, struct m2c_reading *out, struct m2c_err *err)
{
    struct nvml *s = m->priv;
    unsigned long long mj = 0;
    int code = s->api.energy(s->dev, &mj);
    if (code != M2C_NV_OK)
        return fail(s, code, "energy", err);
    if (mj == 0)
        return m2c_fail(
            err, -EIO, "nvml: %s: its counter reports 0 J, which is no reading", s->name);
    count(m, mj, m2c_meter_now(m));
    out->uj[M2C_GPU] = s->sum_mj * 1000;
    out->err_uj = (uint64_t)(s->err_j * 1e6);
    /* at either end what the card took since the last renewal is not counted yet */
    out->edge_uj = (uint64_t)(limit_w(s) * (double)s->sensor.period_ns * 1e-3);
    out->changes = s->changes;
    return 0;
}

static int read_nvml(struct m2c_meter *m, const struct m2c_load *load,
                     struct m2c_reading *out, struct m2c_err *err)
{
    (void)load;
    return m2c_meter_read_gpu(m, read_counter, out, err);
}

const struct m2c_meter_ops m2c_meter_nvml = {
    .p = {.name = "nvml",
          .desc = "NVIDIA's cards: their energy counter, or their power sampled",
          .priv_size = sizeof(struct nvml)},
    .how = M2C_MEASURED,
    .open = open_nvml,
    .close = close_nvml,
    .read = read_nvml,
};
