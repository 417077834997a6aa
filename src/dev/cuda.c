/* SPDX-License-Identifier: MIT */
/* The cuda backend's device: driver, context, limits, memory.
 *
 * Each device has a context of its own, so that one that work has broken is
 * gone with its device, and the next one opened starts clean. Every hook makes
 * it current first: another device may have been used in between. Nothing
 * goes through the null stream, which would order all others. */
#include "dev/cuda_impl.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The values of the kernels' own enums, which include nothing, are those of
 * the ops. */
_Static_assert((int)M2C_K_F32 == M2C_F32 && (int)M2C_K_F16 == M2C_F16 &&
                   (int)M2C_K_BF16 == M2C_BF16 && (int)M2C_K_I8 == M2C_I8 &&
                   (int)M2C_K_I4 == M2C_I4 && (int)M2C_K_P16 == M2C_P16 &&
                   (int)M2C_K_P8 == M2C_P8,
               "types");
_Static_assert((int)M2C_K_SILU == M2C_ACT_SILU && (int)M2C_K_GELU == M2C_ACT_GELU &&
                   (int)M2C_K_RELU == M2C_ACT_RELU,
               "activations");
_Static_assert((int)M2C_K_ROPE_HALF == M2C_ROPE_HALF &&
                   (int)M2C_K_ROPE_INTERLEAVED == M2C_ROPE_INTERLEAVED,
               "rope styles");
_Static_assert((int)M2C_K_PASS_ANY == M2C_PASS_ANY &&
                   (int)M2C_K_CLASSES == M2C_FFN_CLASSES &&
                   (int)M2C_K_VECTORS == M2C_FFN_VECTORS,
               "units");
_Static_assert(sizeof(struct m2c_k_ref) == sizeof(struct m2c_neuron_ref) &&
                   offsetof(struct m2c_k_ref, cls) == offsetof(struct m2c_neuron_ref, cls),
               "list entries");

/* ---- opening ---- */

static int find_device(struct m2c_cuda *c, int index, struct m2c_err *err)
{
    int n = 0;
    int r = m2c_cuda_check(&c->cu, c->cu.init(0), "cuInit", err);
    r = r < 0 ? r : m2c_cuda_check(&c->cu, c->cu.version(&c->driver), "cuDriverGetVersion",
                                   err);
    if (r == 0 && c->driver < M2C_CUDA_DRIVER_MIN)
        return m2c_fail(err, -ENODEV, "the driver is of CUDA %d.%d, m2c needs %d.%d",
                        c->driver / 1000, c->driver % 1000 / 10, M2C_CUDA_DRIVER_MIN / 1000,
                        M2C_CUDA_DRIVER_MIN % 1000 / 10);
    r = r < 0 ? r : m2c_cuda_check(&c->cu, c->cu.device_count(&n), "cuDeviceGetCount", err);
    if (r == 0 && n == 0)
        return m2c_fail(err, -ENODEV, "the driver has no device");
    if (r == 0 && (index < 0 || index >= n))
        return m2c_fail(err, -ENODEV, "there is no device %d; there %s %d", index,
                        n == 1 ? "is" : "are", n);
    return r < 0 ? r
                 : m2c_cuda_check(&c->cu, c->cu.device(&c->device, index), "cuDeviceGet",
                                  err);
}

static int attribute(const struct m2c_cuda *c, enum m2c_cu_attribute which, int *out,
                     struct m2c_err *err)
{
    *out = 0;
    return m2c_cuda_check(&c->cu, c->cu.attribute(out, (int)which, c->device),
                          "cuDeviceGetAttribute", err);
}

static int read_limits(struct m2c_dev *dev, struct m2c_err *err)
{
    struct m2c_cuda *c = dev->priv;
    struct m2c_dev_info *info = &dev->info;
    int major = 0, minor = 0, sms = 0, unified = 0, mapped = 0;
    size_t bytes = 0;
    int r = m2c_cuda_check(&c->cu,
                           c->cu.device_name(info->name, (int)sizeof info->name, c->device),
                           "cuDeviceGetName", err);
    r = r < 0 ? r : m2c_cuda_check(&c->cu, c->cu.device_memory(&bytes, c->device),
                                   "cuDeviceTotalMem", err);
    r = r < 0 ? r : attribute(c, M2C_CU_ATTR_CC_MAJOR, &major, err);
    r = r < 0 ? r : attribute(c, M2C_CU_ATTR_CC_MINOR, &minor, err);
    r = r < 0 ? r : attribute(c, M2C_CU_ATTR_SMS, &sms, err);
    r = r < 0 ? r : attribute(c, M2C_CU_ATTR_UNIFIED_ADDRESSING, &unified, err);
    r = r < 0 ? r : attribute(c, M2C_CU_ATTR_MAP_HOST, &mapped, err);
    if (r < 0)
        return r;
    info->name[sizeof info->name - 1] = 0;
    if (major < 5 || sms < 1 || bytes == 0 || !unified || !mapped)
        return m2c_fail(err, -ENODEV,
                        "%s: compute capability %d.%d, %d multiprocessors, %zu bytes of "
                        "memory, unified addressing %s, mapped host memory %s: m2c needs "
                        "5.0 or more, and all of these",
                        info->name, major, minor, sms, bytes, unified ? "yes" : "no",
                        mapped ? "yes" : "no");
    c->arch = (unsigned)(10 * major + minor);
    c->card.sms = (m2c_u32)sms;
    snprintf(info->isa, sizeof info->isa, "sm_%u", c->arch);
    info->mem_bytes = info->max_alloc = bytes;
    info->ffn_seg_neurons_min = M2C_K_SEG_MIN;
    info->gemm_rows = M2C_K_GEMM_ROWS;
    info->threads = (unsigned)sms;
    info->unified = false;
    snprintf(info->copies, sizeof info->copies, "each gather%s",
             c->cu.copy_batch || c->cu.copy_batch2 ? " batch" : "");
    return 0;
}

/* The context, and the zero of the device's clock. */
static int open_context(struct m2c_cuda *c, struct m2c_err *err)
{
    const struct m2c_cu *cu = &c->cu;
    int r = m2c_cuda_check(cu, cu->ctx_create(&c->ctx, M2C_CU_CTX_BLOCKING_SYNC, c->device),
                           "cuCtxCreate", err);
    if (r < 0)
        c->ctx = NULL;
    r = r < 0 ? r : m2c_cuda_check(cu, cu->stream_create(&c->stream,
                                                         M2C_CU_STREAM_NON_BLOCKING),
                                   "cuStreamCreate", err);
    if (r < 0)
        return r;
    r = m2c_cuda_event_take(c, &c->base, err);
    r = r < 0 ? r : m2c_cuda_check(cu, cu->event_record(c->base, c->stream),
                                   "cuEventRecord", err);
    r = r < 0 ? r : m2c_cuda_check(cu, cu->event_sync(c->base), "cuEventSynchronize", err);
    c->base_ns = m2c_now_ns();
    return r;
}

/* Own kernels are what "auto" falls to where there is no cuBLAS; which of the
 * two it is stands in the driver's text. */
static int open_blas(struct m2c_cuda *c, const struct m2c_dev_cfg *cfg, struct m2c_err *err)
{
    struct m2c_err why = {0};
    const char *gemm = cfg->gemm ? cfg->gemm : "auto";
    if (strcmp(gemm, "auto") == 0)
        return m2c_cuda_open_cublas(&c->cublas, cfg->library, c->driver, &why) == -ENOMEM
                   ? m2c_fail(err, -ENOMEM, "%s", why.msg)
                   : 0;
    if (strcmp(gemm, "blas") == 0)
        return m2c_cuda_open_cublas(&c->cublas, cfg->library, c->driver, err);
    return strcmp(gemm, "own") == 0
               ? 0
               : m2c_fail(err, -EINVAL, "device.gemm = %s: it is auto, own or blas", gemm);
}

static void describe_driver(struct m2c_dev *dev)
{
    const struct m2c_cuda *c = dev->priv;
    char rtc[48] = "kernels from cache or built in", blas[64] = "own GEMM";
    int major = 0, minor = 0;
    if (c->nvrtc.lib && c->nvrtc.version(&major, &minor) == 0)
        snprintf(rtc, sizeof rtc, "NVRTC %d.%d", major, minor);
    if (c->cublas.lib) {
        const char *slash = strrchr(c->cublas.name, '/');
        snprintf(blas, sizeof blas, "%.60s", slash ? slash + 1 : c->cublas.name);
    }
    snprintf(dev->info.driver, sizeof dev->info.driver, "CUDA %d.%d, %s, %s",
             c->driver / 1000, c->driver % 1000 / 10, rtc, blas);
}

static int open_cuda(struct m2c_dev *dev, struct m2c_err *err)
{
    struct m2c_cuda *c = dev->priv;
    int r = m2c_cuda_open_driver(&c->cu, dev->cfg.library, err);
    r = r < 0 ? r : find_device(c, dev->cfg.index, err);
    r = r < 0 ? r : read_limits(dev, err);
    r = r < 0 ? r : open_context(c, err);
    r = r < 0 ? r : open_blas(c, &dev->cfg, err);
    r = r < 0 ? r : m2c_progcache_open(&c->cache, dev->cfg.cache, err);
    r = r < 0 ? r : m2c_cuda_load_kernels(c, dev, err);
    r = r < 0 ? r : m2c_cuda_copy_choose(dev, err);
    if (r < 0)
        return m2c_fail_in(err, r, "cuda");
    describe_driver(dev);
    return 0;
}

static void close_cuda(struct m2c_dev *dev)
{
    struct m2c_cuda *c = dev->priv;
    if (c->ctx) {
        c->cu.ctx_set(c->ctx);
        m2c_cuda_event_drop(c, c->base);
        while (c->n_idle)
            c->cu.event_destroy(c->idle[--c->n_idle]);
        for (unsigned i = 0; i < c->n_modules; i++)
            c->cu.module_unload(c->module[i]);
        if (c->stream)
            c->cu.stream_destroy(c->stream);
        c->cu.ctx_destroy(c->ctx);
    }
    m2c_progcache_close(c->cache);
    m2c_cuda_close_libs(c);
}

/* ---- memory ---- */

/* What a failed cuMemAlloc leaves to say: others use the card too. */
static int tell_free(struct m2c_cuda *c, int r, struct m2c_err *err)
{
    size_t free_bytes = 0, all = 0;
    struct m2c_err why = *err;
    if (r != -ENOMEM || c->cu.mem_info(&free_bytes, &all) != M2C_CU_OK)
        return r;
    return m2c_fail(err, r, "%s; %zu of the card's %zu bytes are free", why.msg, free_bytes,
                    all);
}

static int alloc_device(struct m2c_cuda *c, struct m2c_cuda_mem *m, size_t bytes,
                        struct m2c_err *err)
{
    const struct m2c_cu *cu = &c->cu;
    size_t room = M2C_MAX(bytes, (size_t)1);
    int r = m2c_cuda_check(cu, cu->mem_alloc(&m->raw, room), "cuMemAlloc", err);
    if (r == 0 && m->raw % M2C_PAGE) { /* the driver promises 256 only */
        cu->mem_free(m->raw);
        m->raw = 0;
        if (!m2c_add_size(room, M2C_PAGE, &room))
            return m2c_fail(err, -ENOMEM, "%zu bytes", bytes);
        r = m2c_cuda_check(cu, cu->mem_alloc(&m->raw, room), "cuMemAlloc", err);
    }
    if (r < 0) {
        m->raw = 0;
        return tell_free(c, r, err);
    }
    m->at = (m->raw + M2C_PAGE - 1) / M2C_PAGE * M2C_PAGE;
    r = bytes ? m2c_cuda_check(cu, cu->set8(m->at, 0, bytes, c->stream), "cuMemsetD8", err)
              : 0;
    r = r < 0 ? r
              : m2c_cuda_check(cu, cu->stream_sync(c->stream), "cuStreamSynchronize", err);
    if (r < 0) {
        cu->mem_free(m->raw);
        m->raw = 0;
    }
    return r;
}

static int alloc_pinned(struct m2c_cuda *c, struct m2c_buf *buf, struct m2c_cuda_mem *m,
                        struct m2c_err *err)
{
    const struct m2c_cu *cu = &c->cu;
    int r = m2c_cuda_check(cu,
                           cu->host_alloc(&buf->host, M2C_MAX(buf->bytes, (size_t)1),
                                          M2C_CU_HOST_PORTABLE | M2C_CU_HOST_MAPPED),
                           "cuMemHostAlloc", err);
    if (r < 0) {
        buf->host = NULL;
        return r;
    }
    if ((uintptr_t)buf->host % M2C_PAGE) /* pages cannot be locked in part */
        r = m2c_fail(err, -EIO, "cuMemHostAlloc: no page's address, %p", buf->host);
    r = r < 0 ? r : m2c_cuda_check(cu, cu->host_address(&m->at, buf->host, 0),
                                   "cuMemHostGetDevicePointer", err);
    if (r < 0) {
        cu->host_free(buf->host);
        buf->host = NULL;
        return r;
    }
    memset(buf->host, 0, buf->bytes);
    return 0;
}

static int alloc_cuda(struct m2c_dev *dev, struct m2c_buf *buf, struct m2c_err *err)
{
    struct m2c_cuda *c = dev->priv;
    struct m2c_cuda_mem *m = calloc(1, sizeof *m);
    int r = m ? m2c_cuda_check(&c->cu, c->cu.ctx_set(c->ctx), "cuCtxSetCurrent", err)
              : m2c_fail(err, -ENOMEM, "out of memory");
    if (r == 0 && buf->place == M2C_PLACE_DEVICE)
        r = alloc_device(c, m, buf->bytes, err);
    else if (r == 0 && buf->place == M2C_PLACE_PINNED)
        r = alloc_pinned(c, buf, m, err);
    else if (r == 0 && (r = m2c_pages_alloc(buf->bytes, &buf->host)) < 0)
        m2c_fail(err, r, "the system has no more memory");
    else if (r == 0)
        m->at = (uintptr_t)buf->host;
    if (r < 0) {
        free(m);
        return r;
    }
    buf->handle = (uintptr_t)m;
    return 0;
}

static void free_cuda(struct m2c_dev *dev, struct m2c_buf *buf)
{
    struct m2c_cuda *c = dev->priv;
    struct m2c_cuda_mem *m = (struct m2c_cuda_mem *)(uintptr_t)buf->handle;
    c->cu.ctx_set(c->ctx);
    if (buf->place == M2C_PLACE_DEVICE)
        c->cu.mem_free(m->raw);
    else if (buf->place == M2C_PLACE_PINNED)
        c->cu.host_free(buf->host);
    else
        m2c_pages_free(buf->host, buf->bytes);
    free(m);
}

static uint32_t seg_neurons(const struct m2c_dev *dev, uint32_t n_neurons)
{
    (void)dev;
    return m2c_k_seg_neurons(n_neurons);
}

const struct m2c_dev_ops m2c_dev_cuda = {
    .p = {.name = "cuda",
          .desc = "NVIDIA cards, through the CUDA driver",
          .priv_size = sizeof(struct m2c_cuda)},
    .open = open_cuda,
    .close = close_cuda,
    .alloc = alloc_cuda,
    .free = free_cuda,
    .queue_open = m2c_cuda_queue_open,
    .queue_close = m2c_cuda_queue_close,
    .copy = m2c_cuda_copy_hook,
    .launch = m2c_cuda_launch,
    .record = m2c_cuda_record,
    .after = m2c_cuda_after,
    .event_wait = m2c_cuda_event_wait,
    .event_passed = m2c_cuda_event_passed,
    .event_free = m2c_cuda_event_free,
    .supports = m2c_cuda_supports,
    .seg_neurons = seg_neurons,
};
