/* SPDX-License-Identifier: MIT */
/* The engines, and opening and closing of handles. What happens between is in
 * range.c. */
#include "io/io_impl.h"

#include "base/clock.h"
#include "m2c_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_UNIT = 4096 };

/* A simulated file has every byte that is asked for. */
#define SIM_SIZE (UINT64_C(1) << 62)

static const struct m2c_io_ops *const registry[] = {
#if M2C_HAVE_LIBAIO
    &m2c_io_libaio,
#endif
#if M2C_HAVE_URING
    &m2c_io_uring,
#endif
    &m2c_io_pread,  &m2c_io_mmap, &m2c_io_sim, &m2c_io_null, NULL,
};

const struct m2c_plugin *const *m2c_io_list(void)
{
    return (const struct m2c_plugin *const *)(const void *)registry;
}

int m2c_io_check(const struct m2c_io_ops *const *engines, struct m2c_err *err)
{
    int r =
        m2c_plugin_check((const void *const *)(const void *)engines, "I/O engine", err);
    for (; r == 0 && *engines; engines++) {
        const struct m2c_io_ops *o = *engines;
        if (!o->open || !o->close || !o->submit || !o->reap)
            r = m2c_fail(err, -EINVAL, "I/O engine '%s' lacks a mandatory hook",
                         o->p.name);
    }
    return r;
}

static int without(const char *engine, const char *library, struct m2c_err *err)
{
    return m2c_fail(err, -ENOTSUP,
                    "I/O engine '%s': this m2c was built without %s; set ssd.engine = "
                    "pread",
                    engine, library);
}

static int find(const struct m2c_io_ops **out, const char *engine, struct m2c_err *err)
{
    if (!M2C_HAVE_LIBAIO && strcmp(engine, "libaio") == 0)
        return without(engine, "libaio", err);
    if (!M2C_HAVE_URING && strcmp(engine, "io_uring") == 0)
        return without(engine, "liburing", err);
    int r = m2c_io_check(registry, err);
    if (r < 0)
        return r;
    *out = m2c_plugin_find((const void *const *)(const void *)registry, "I/O engine",
                           engine, err);
    if (!*out)
        return -ENOENT;
    return (*out)->probe ? (*out)->probe(err) : 0;
}

int m2c_io_probe(const char *engine, struct m2c_err *err)
{
    const struct m2c_io_ops *ops;
    return find(&ops, engine, err);
}

static int check_cfg(const struct m2c_io_cfg *c, struct m2c_err *err)
{
    if (c->queue_depth == 0 || c->queue_depth > M2C_IO_DEPTH_MAX)
        return m2c_fail(err, -EINVAL, "ssd.queue_depth is %u, must be 1 to %d",
                        c->queue_depth, M2C_IO_DEPTH_MAX);
    if (c->chunk == 0 || c->chunk > M2C_IO_CHUNK_MAX || c->chunk % CHUNK_UNIT)
        return m2c_fail(err, -EINVAL,
                        "ssd.chunk is %u, must be a multiple of %d up to %d", c->chunk,
                        CHUNK_UNIT, M2C_IO_CHUNK_MAX);
    if (c->short_reads % CHUNK_UNIT)
        return m2c_fail(err, -EINVAL, "short_reads is %u, must be a multiple of %d",
                        c->short_reads, CHUNK_UNIT);
    return 0;
}

/* Real and simulated time do not mix. */
static int check_machine(const struct m2c_io_ops *ops, const struct m2c_io_cfg *c,
                         struct m2c_err *err)
{
    if (ops->simulated && !c->machine)
        return m2c_fail(err, -EINVAL,
                        "ssd.engine = %s is part of a simulated machine: set device.backend = "
                        "sim, or another engine",
                        ops->p.name);
    if (!ops->simulated && c->machine)
        return m2c_fail(err, -EINVAL,
                        "ssd.engine = %s takes real time, and the device is simulated: set "
                        "ssd.engine = sim",
                        ops->p.name);
    if (ops->simulated && !c->direct)
        return m2c_fail(err, -EINVAL,
                        "ssd.direct = off: no page cache is simulated, set it to on");
    return 0;
}

static int build(struct m2c_io *io, const char *path, struct m2c_err *err)
{
    io->path = strdup(path);
    io->priv = calloc(1, io->ops->p.priv_size ? io->ops->p.priv_size : 1);
    io->pieces = calloc(io->cfg.queue_depth, sizeof *io->pieces);
    if (!io->path || !io->priv || !io->pieces)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    for (unsigned i = io->cfg.queue_depth; i-- > 0;) {
        io->pieces[i].next = io->free_piece;
        io->free_piece = &io->pieces[i];
    }
    int r = 0;
    if (io->ops->simulated) {
        io->align = CHUNK_UNIT;
        io->size = SIM_SIZE;
    } else {
        r = m2c_io_open_file(io, err);
    }
    if (r < 0)
        return r;
    if (io->cfg.chunk % io->align)
        return m2c_fail(
            err, -EINVAL,
            "%s: direct reads must be multiples of %u bytes, which ssd.chunk = "
            "%u is not",
            path, io->align, io->cfg.chunk);
    return io->ops->open(io, err);
}

int m2c_io_open(struct m2c_io **out, const char *engine, const char *path,
                const struct m2c_io_cfg *cfg, struct m2c_err *err)
{
    const struct m2c_io_ops *ops = NULL;
    int r = find(&ops, engine, err);
    if (r < 0)
        return r;
    r = check_cfg(cfg, err);
    r = r < 0 ? r : check_machine(ops, cfg, err);
    if (r < 0)
        return r;
    struct m2c_io *io = calloc(1, sizeof *io);
    if (!io)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    io->ops = ops;
    io->cfg = *cfg;
    io->fd = -1;
    r = build(io, path, err);
    if (r < 0) {
        m2c_io_close(io);
        return r;
    }
    *out = io;
    return 0;
}

uint64_t m2c_io_now_ns(const struct m2c_io *io)
{
    return io->cfg.machine ? m2c_machine_now(io->cfg.machine) : m2c_now_ns();
}

uint32_t m2c_io_align(const struct m2c_io *io)
{
    return io->align;
}
uint64_t m2c_io_size(const struct m2c_io *io)
{
    return io->size;
}

uint64_t m2c_io_use_memory(struct m2c_io *io, const struct m2c_io_mem *mem, unsigned n)
{
    if (!io->ops->use_memory || io->started || io->has_memory)
        return 0;
    io->has_memory = true;
    return io->ops->use_memory(io, mem, n);
}

void m2c_io_counters(const struct m2c_io *io, struct m2c_io_counters *out)
{
    *out = io->count;
}

void m2c_io_close(struct m2c_io *io)
{
    if (!io)
        return;
    io->closing = true;
    while (io->in_flight) {
        struct m2c_io_piece *got[M2C_IO_BATCH];
        int n = io->ops->reap(io, got, M2C_IO_BATCH, M2C_IO_FOREVER);
        if (n < 0)
            break; /* the engine is broken; its close has the last word */
        io->in_flight -= (unsigned)n;
    }
    if (io->priv)
        io->ops->close(io);
    if (io->fd >= 0)
        close(io->fd);
    free(io->priv);
    free(io->pieces);
    free(io->path);
    free(io);
}
