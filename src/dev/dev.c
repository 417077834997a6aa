/* SPDX-License-Identifier: MIT */
/* Registry of backends, opening and closing of devices, memory and its
 * budget. Queues and events are in queue.c. Invariant: everything made from a
 * device is in one of its lists until it is freed, so close leaves nothing. */
#include "dev/dev_impl.h"

#include "base/clock.h"
#include "m2c_config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct m2c_dev_ops *const registry[] = {
    &m2c_dev_cpu,
    &m2c_dev_cuda,
#if M2C_HAVE_OPENCL
    &m2c_dev_opencl,
#endif
    &m2c_dev_sim,
    &m2c_dev_null,
    NULL,
};

/* What other builds have, so that a config made for them gets a clear answer. */
static const char *const optional[] = {"opencl", NULL};

const struct m2c_plugin *const *m2c_dev_backends(void)
{
    return (const struct m2c_plugin *const *)(const void *)registry;
}

int m2c_dev_ops_check(const struct m2c_dev_ops *ops, struct m2c_err *err)
{
    const void *const one[] = {ops, NULL};
    int r = m2c_plugin_check(one, "backend", err);
    if (r < 0)
        return r;
    const struct {
        const char *name;
        bool there;
    } hooks[] = {
        {"open", ops->open},
        {"alloc", ops->alloc},
        {"free", ops->free},
        {"queue_open", ops->queue_open},
        {"copy", ops->copy},
        {"launch", ops->launch},
        {"record", ops->record},
        {"after", ops->after},
        {"event_wait", ops->event_wait},
        {"event_passed", ops->event_passed},
        {"supports", ops->supports},
        {"seg_neurons", ops->seg_neurons},
    };
    for (size_t i = 0; i < M2C_COUNTOF(hooks); i++) {
        if (!hooks[i].there)
            return m2c_fail(err, -EINVAL, "backend '%s' lacks the mandatory hook '%s'",
                            ops->p.name, hooks[i].name);
    }
    return 0;
}

/* ---- devices ---- */

static int set_limit(struct m2c_dev *dev, struct m2c_err *err)
{
    dev->limit = dev->cfg.bytes ? dev->cfg.bytes : dev->info.mem_bytes;
    if (dev->limit > dev->info.mem_bytes)
        return m2c_fail(err, -ENOMEM, "device.bytes is %" PRIu64 ", but %s has %" PRIu64,
                        dev->limit, dev->info.name, dev->info.mem_bytes);
    return 0;
}

/* A way of copying that the backend does not have is refused, not ignored. */
static int check_copy(const struct m2c_dev *dev, struct m2c_err *err)
{
    const char *want = dev->cfg.copy, *at = dev->info.copies;
    if (!want || strcmp(want, "auto") == 0)
        return 0;
    for (size_t n; *at; at += n, at += *at == ' ') {
        n = strcspn(at, " ");
        if (strlen(want) == n && strncmp(at, want, n) == 0)
            return 0;
    }
    return m2c_fail(err, -ENOTSUP, "device.copy = %s: %s copies by: auto %s", want,
                    dev->info.name, dev->info.copies);
}

int m2c_dev_open_ops(struct m2c_dev **out, const struct m2c_dev_ops *ops,
                     const struct m2c_dev_cfg *cfg, struct m2c_err *err)
{
    int r = m2c_dev_ops_check(ops, err);
    if (r < 0)
        return r;
    struct m2c_dev *dev = calloc(1, sizeof *dev);
    if (!dev || !(dev->priv = calloc(1, ops->p.priv_size ? ops->p.priv_size : 1))) {
        free(dev);
        return m2c_fail(err, -ENOMEM, "device %s: out of memory", ops->p.name);
    }
    dev->ops = ops;
    dev->cfg = *cfg;
    snprintf(dev->info.backend, sizeof dev->info.backend, "%s", ops->p.name);
    snprintf(dev->info.copies, sizeof dev->info.copies, "each");
    r = ops->open(dev, err);
    if (r == 0)
        r = check_copy(dev, err);
    if (r == 0)
        r = set_limit(dev, err);
    if (r < 0) {
        m2c_dev_close(dev);
        return r;
    }
    *out = dev;
    return 0;
}

int m2c_dev_open(struct m2c_dev **out, const struct m2c_dev_cfg *cfg, struct m2c_err *err)
{
    const struct m2c_dev_ops *ops = m2c_plugin_find(
        (const void *const *)(const void *)registry, "backend", cfg->backend, err);
    for (size_t i = 0; !ops && optional[i]; i++) {
        if (strcmp(cfg->backend, optional[i]) == 0)
            return m2c_fail(err, -ENODEV, "this build of m2c has no backend %s",
                            optional[i]);
    }
    return ops ? m2c_dev_open_ops(out, ops, cfg, err) : -ENOENT;
}

void m2c_dev_reference_cfg(const struct m2c_dev_cfg *cfg, struct m2c_dev_cfg *out)
{
    const bool own = strcmp(cfg->backend, m2c_dev_cpu.p.name) == 0;
    *out = (struct m2c_dev_cfg){.backend = m2c_dev_cpu.p.name,
                                .threads = own ? cfg->threads : 0,
                                .isa = own ? cfg->isa : "auto"};
}

const struct m2c_dev_info *m2c_dev_info(const struct m2c_dev *dev)
{
    return &dev->info;
}

struct m2c_machine *m2c_dev_machine(const struct m2c_dev *dev)
{
    return dev->ops->machine ? dev->ops->machine(dev) : NULL;
}

bool m2c_dev_is_simulated(const struct m2c_dev_cfg *cfg)
{
    for (size_t i = 0; registry[i]; i++) {
        if (strcmp(registry[i]->p.name, cfg->backend) == 0)
            return registry[i]->machine != NULL;
    }
    return false;
}

uint64_t m2c_dev_now_ns(const struct m2c_dev *dev)
{
    const struct m2c_machine *m = m2c_dev_machine(dev);
    return m ? m2c_machine_now(m) : m2c_now_ns();
}

void m2c_dev_host_work(struct m2c_dev *dev, enum m2c_host_work work, uint64_t n)
{
    struct m2c_machine *m = m2c_dev_machine(dev);
    if (m)
        m2c_machine_work(m, work, n);
}

uint32_t m2c_dev_seg_neurons(const struct m2c_dev *dev, uint32_t n_neurons)
{
    return dev->ops->seg_neurons(dev, n_neurons);
}

bool m2c_dev_supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    return dev->ops->supports(dev, op, type);
}

void m2c_dev_counters(const struct m2c_dev *dev, struct m2c_dev_counters *out)
{
    *out = dev->count;
}

/* ---- memory ---- */

struct m2c_alloc {
    struct m2c_buf buf; /* first: a buffer is cast back to its node */
    struct m2c_alloc *next, **link;
};

static const char *const place_name[M2C_N_PLACES] = {
    [M2C_PLACE_DEVICE] = "device",
    [M2C_PLACE_PINNED] = "pinned host",
    [M2C_PLACE_HOST] = "host",
};

static int check_budget(const struct m2c_dev *dev, enum m2c_place place, size_t bytes,
                        struct m2c_err *err)
{
    if ((unsigned)place >= M2C_N_PLACES)
        return m2c_fail(err, -EINVAL, "device %s: there is no place %d", dev->info.name,
                        (int)place);
    if (place == M2C_PLACE_DEVICE && !m2c_range_ok(dev->used[place], bytes, dev->limit))
        return m2c_fail(err, -ENOMEM,
                        "device %s: %zu bytes of device memory asked for, %" PRIu64
                        " of %" PRIu64 " in use (the limit is %s)",
                        dev->info.name, bytes, dev->used[place], dev->limit,
                        dev->cfg.bytes ? "device.bytes" : "all that it has");
    if (bytes > dev->info.max_alloc)
        return m2c_fail(err, -ENOMEM,
                        "device %s: %zu bytes of %s memory asked for, at most %" PRIu64
                        " at once",
                        dev->info.name, bytes, place_name[place], dev->info.max_alloc);
    return 0;
}

int m2c_dev_alloc(struct m2c_dev *dev, enum m2c_place place, size_t bytes,
                  struct m2c_buf **out, struct m2c_err *err)
{
    struct m2c_err own = {0};
    int r = check_budget(dev, place, bytes, err);
    if (r < 0)
        return r;
    struct m2c_alloc *a = calloc(1, sizeof *a);
    if (!a)
        return m2c_fail(err, -ENOMEM, "device %s: out of memory", dev->info.name);
    a->buf.bytes = bytes;
    a->buf.place = (int)place;
    r = dev->ops->alloc(dev, &a->buf, &own);
    if (r < 0) {
        free(a);
        return m2c_fail(
            err, r, "device %s: %zu bytes of %s memory asked for, %" PRIu64 " in use: %s",
            dev->info.name, bytes, place_name[place], dev->used[place], own.msg);
    }
    a->next = dev->allocs;
    a->link = &dev->allocs;
    if (a->next)
        a->next->link = &a->next;
    dev->allocs = a;
    dev->used[place] += bytes;
    dev->peak[place] = M2C_MAX(dev->peak[place], dev->used[place]);
    *out = &a->buf;
    return 0;
}

void m2c_dev_free(struct m2c_dev *dev, struct m2c_buf *buf)
{
    if (!buf)
        return;
    struct m2c_alloc *a = (struct m2c_alloc *)buf;
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    dev->used[buf->place] -= buf->bytes;
    dev->ops->free(dev, buf);
    free(a);
}

uint64_t m2c_dev_used(const struct m2c_dev *dev, enum m2c_place place)
{
    return dev->used[place];
}

uint64_t m2c_dev_peak(const struct m2c_dev *dev, enum m2c_place place)
{
    return dev->peak[place];
}

/* Queues first: they drain, and may wait for each other and for events, but
 * for nothing that only the host would do. */
void m2c_dev_close(struct m2c_dev *dev)
{
    if (!dev)
        return;
    while (dev->queues)
        m2c_queue_close(dev->queues);
    while (dev->events)
        m2c_event_free(dev->events);
    while (dev->allocs)
        m2c_dev_free(dev, &dev->allocs->buf);
    if (dev->ops->close)
        dev->ops->close(dev);
    free(dev->priv);
    free(dev);
}
