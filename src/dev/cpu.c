/* SPDX-License-Identifier: MIT */
/* The cpu backend's device: what it is, its kernels, its threads, its
 * memory. Queues and events are in cpu_queue.c, arithmetic in dev/cpu/. All
 * places are host memory, so ops and copies reach any of them. */
#include "dev/cpu_impl.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void read_cpu_name(char *out, size_t n)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];
    snprintf(out, n, "CPU");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (colon && strncmp(line, "model name", 10) == 0) {
            line[strcspn(line, "\n")] = 0;
            colon += 1 + strspn(colon + 1, " ");
            if (*colon)
                snprintf(out, n, "%s", colon);
            break;
        }
    }
    if (f)
        fclose(f);
}

static int make_locks(struct m2c_cpu *c)
{
    if (m2c_bell_init(&c->events) < 0 || pthread_mutex_init(&c->pool_lock, NULL))
        return -ENOMEM;
    if (pthread_mutex_init(&c->fault_lock, NULL)) {
        pthread_mutex_destroy(&c->pool_lock);
        return -ENOMEM;
    }
    c->have_locks = true;
    return 0;
}

static int open_cpu(struct m2c_dev *dev, struct m2c_err *err)
{
    struct m2c_cpu *c = dev->priv;
    struct m2c_dev_info *info = &dev->info;
    if (dev->cfg.index != 0)
        return m2c_fail(err, -ENODEV, "cpu: there is device 0 only, not %d",
                        dev->cfg.index);
    c->isa = m2c_cpu_isa_find(dev->cfg.isa ? dev->cfg.isa : "auto", err);
    if (!c->isa)
        return -ENODEV;
    if (make_locks(c) < 0)
        return m2c_fail(err, -ENOMEM, "cpu: no memory for locks");
    int r = m2c_pool_open(&c->pool, dev->cfg.threads, err);
    if (r < 0)
        return r;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
    if (pages <= 0 || page <= 0)
        return m2c_fail(err, -ENOTSUP,
                        "cpu: the system does not say how much memory it has");
    m2c_cpu_kernels_init();
    read_cpu_name(info->name, sizeof info->name);
    snprintf(info->isa, sizeof info->isa, "%s", m2c_cpu_isa_name(c->isa));
    info->mem_bytes = (uint64_t)pages * (uint64_t)page;
    info->max_alloc = info->mem_bytes;
    info->ffn_seg_neurons_min = m2c_cpu_seg_min(c->isa);
    info->gemm_rows = m2c_cpu_gemm_rows(c->isa);
    info->threads = m2c_pool_threads(c->pool);
    info->unified = true;
    info->processor = true;
    return 0;
}

static void close_cpu(struct m2c_dev *dev)
{
    struct m2c_cpu *c = dev->priv;
    m2c_pool_close(c->pool);
    m2c_bell_fini(&c->events);
    if (c->have_locks) {
        pthread_mutex_destroy(&c->fault_lock);
        pthread_mutex_destroy(&c->pool_lock);
    }
}

static int alloc_cpu(struct m2c_dev *dev, struct m2c_buf *buf, struct m2c_err *err)
{
    (void)dev;
    int r = m2c_pages_alloc(buf->bytes, &buf->host);
    return r < 0 ? m2c_fail(err, r, "the system has no more memory") : 0;
}

static void free_cpu(struct m2c_dev *dev, struct m2c_buf *buf)
{
    (void)dev;
    m2c_pages_free(buf->host, buf->bytes);
}

static bool supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    return m2c_cpu_supports(((const struct m2c_cpu *)dev->priv)->isa, op, type);
}

static uint32_t seg_neurons(const struct m2c_dev *dev, uint32_t n_neurons)
{
    return m2c_cpu_seg_neurons(((const struct m2c_cpu *)dev->priv)->isa, n_neurons);
}

const struct m2c_dev_ops m2c_dev_cpu = {
    .p = {.name = "cpu",
          .desc = "this machine's processor; kernels by instruction set",
          .priv_size = sizeof(struct m2c_cpu)},
    .open = open_cpu,
    .close = close_cpu,
    .alloc = alloc_cpu,
    .free = free_cpu,
    .queue_open = m2c_cpu_queue_open,
    .queue_close = m2c_cpu_queue_close,
    .copy = m2c_cpu_queue_copy,
    .launch = m2c_cpu_queue_launch,
    .record = m2c_cpu_queue_record,
    .after = m2c_cpu_queue_after,
    .event_wait = m2c_cpu_event_wait,
    .event_passed = m2c_cpu_event_passed,
    .event_free = m2c_cpu_event_free,
    .supports = supports,
    .seg_neurons = seg_neurons,
};
