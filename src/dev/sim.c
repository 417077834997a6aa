/* SPDX-License-Identifier: MIT */
/* A device that computes nothing and keeps virtual time.
 *
 * Memory is counted and enforced but not there: buffers are address space that
 * nobody touches. Only what is small enough to be a list or a few ids is kept
 * and really copied, since what an FFN op costs stands in its list. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include "dev/sim_impl.h"

#include "dev/sim_queue_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    KEEP = 1 << 20, /* bytes of the largest device buffer whose content is kept */
    SEGMENTS = 64, SEG_MIN = 16 /* as the cuda backend sums */
};

static struct m2c_sim *sim_of(const struct m2c_dev *dev) { return dev->priv; }

unsigned char *m2c_sim_kept(struct m2c_mem m)
{
    bool kept = m.buf && m.buf->handle &&
                (m.buf->place != M2C_PLACE_DEVICE || m.buf->bytes <= KEEP);
    return kept ? (unsigned char *)(uintptr_t)m.buf->handle + m.off : NULL;
}

static int open_sim(struct m2c_dev *dev, struct m2c_err *err)
{
    struct m2c_sim *s = sim_of(dev);
    if (dev->cfg.index != 0)
        return m2c_fail(err, -ENODEV, "sim: there is device 0 only, not %d", dev->cfg.index);
    if (!dev->cfg.profile || !dev->cfg.profile[0])
        return m2c_fail(err, -EINVAL,
                        "device.profile: the simulator needs a profile, such as "
                        "configs/devices/m40.ini");
    int r = m2c_machine_open(&s->machine, dev->cfg.profile, dev->cfg.ssd_profile, err);
    if (r < 0)
        return r;
    const struct m2c_profile *p = m2c_machine_profile(s->machine);
    struct m2c_dev_info *info = &dev->info;
    snprintf(info->name, sizeof info->name, "%.110s (simulated)", p->machine.name);
    snprintf(info->driver, sizeof info->driver, "simulator, profile %.90s", dev->cfg.profile);
    snprintf(info->copies, sizeof info->copies, "each gather");
    snprintf(s->how, sizeof s->how, "%s", dev->cfg.copy ? dev->cfg.copy : "auto");
    info->mem_bytes = p->gpu.memory - p->gpu.reserve;
    info->max_alloc = M2C_MAX(info->mem_bytes, p->host.memory);
    info->ffn_seg_neurons_min = SEG_MIN;
    info->gemm_rows = (uint32_t)p->gpu.gemm_rows;
    info->threads = 1;
    info->unified = p->gpu.kind == M2C_PROFILE_PROCESSOR;
    info->processor = info->unified;
    info->simulated = true;
    return 0;
}

static void close_sim(struct m2c_dev *dev) { m2c_machine_close(sim_of(dev)->machine); }

static int check_host(const struct m2c_dev *dev, const struct m2c_buf *buf,
                      struct m2c_err *err)
{
    const struct m2c_profile *p = m2c_machine_profile(sim_of(dev)->machine);
    uint64_t used = dev->used[M2C_PLACE_PINNED] + dev->used[M2C_PLACE_HOST];
    if (dev->info.unified)
        used += dev->used[M2C_PLACE_DEVICE];
    else if (buf->place == M2C_PLACE_DEVICE)
        return 0;
    return m2c_range_ok(used, buf->bytes, p->host.memory)
               ? 0
               : m2c_fail(err, -ENOMEM, "the simulated host has %" PRIu64 " bytes of memory, "
                          "%" PRIu64 " in use", p->host.memory, used);
}

static int alloc_sim(struct m2c_dev *dev, struct m2c_buf *buf, struct m2c_err *err)
{
    int r = check_host(dev, buf, err);
    if (r < 0)
        return r;
    size_t n = buf->bytes ? buf->bytes : 1;
    void *at = mmap(NULL, n, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return m2c_fail(err, -ENOMEM, "no address space for the simulated memory");
    buf->handle = (uint64_t)(uintptr_t)at;
    buf->host = buf->place == M2C_PLACE_DEVICE && !dev->info.unified ? NULL : at;
    return 0;
}

static void free_sim(struct m2c_dev *dev, struct m2c_buf *buf)
{
    (void)dev;
    munmap((void *)(uintptr_t)buf->handle, buf->bytes ? buf->bytes : 1);
}

/* ---- work ---- */

static int copy_sim(struct m2c_queue *q, const struct m2c_copy *batch, size_t n,
                    struct m2c_err *err)
{
    struct m2c_sim *s = sim_of(q->dev);
    struct m2c_sim_work w;
    double host_ns = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char *dst = m2c_sim_kept(batch[i].dst), *src = m2c_sim_kept(batch[i].src);
        if (dst && src)
            memcpy(dst, src, batch[i].bytes);
    }
    m2c_sim_price_copies(m2c_machine_profile(s->machine), batch, n, s->how, &w, &host_ns);
    m2c_machine_spend(s->machine, host_ns);
    return m2c_sim_push(q, &w, err);
}

static int launch_sim(struct m2c_queue *q, const struct m2c_call *call, struct m2c_err *err)
{
    struct m2c_sim *s = sim_of(q->dev);
    const struct m2c_profile *p = m2c_machine_profile(s->machine);
    struct m2c_sim_work w;
    m2c_sim_price_call(p, call, &w);
    m2c_machine_spend(s->machine, p->host.launch_us * 1e3);
    return m2c_sim_push(q, &w, err);
}

static bool supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    (void)dev;
    return (unsigned)op < M2C_N_OPS && (unsigned)type < M2C_N_TYPES;
}

static uint32_t seg_neurons(const struct m2c_dev *dev, uint32_t n_neurons)
{
    (void)dev;
    return M2C_MAX((n_neurons + SEGMENTS - 1) / SEGMENTS, (uint32_t)SEG_MIN);
}

static struct m2c_machine *machine(const struct m2c_dev *dev) { return sim_of(dev)->machine; }

const struct m2c_dev_ops m2c_dev_sim = {
    .p = {.name = "sim",
          .desc = "computes nothing; the time a machine of a profile would take",
          .priv_size = sizeof(struct m2c_sim)},
    .hollow = true,
    .open = open_sim,
    .close = close_sim,
    .alloc = alloc_sim,
    .free = free_sim,
    .queue_open = m2c_sim_queue_open,
    .queue_close = m2c_sim_queue_close,
    .copy = copy_sim,
    .launch = launch_sim,
    .record = m2c_sim_record,
    .after = m2c_sim_after,
    .event_wait = m2c_sim_event_wait,
    .event_passed = m2c_sim_event_passed,
    .event_free = m2c_sim_event_free,
    .supports = supports,
    .seg_neurons = seg_neurons,
    .machine = machine,
};
