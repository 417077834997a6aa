/* SPDX-License-Identifier: MIT */
/* Batches of copies.
 *
 * Neurons are pieces of kilobytes, and a call of the driver for each costs
 * microseconds: on a fast link far more than the bytes. So a batch goes, by the
 * size of its pieces, in one of three ways: a call a piece; a kernel that reads
 * a list of pieces and moves them, host memory being mapped; or one call of
 * cuMemcpyBatchAsync, where the driver has it. Which one is fastest is measured
 * on the card when the device opens, unless device.copy says it. A way never
 * changes what arrives.
 *
 * Staging (the host packs pieces into one block) is no way here: it would read
 * sources when the copy is enqueued and not in the queue's order. */
#include "dev/cuda_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(M2C_CUDA_PIECES * sizeof(struct m2c_k_piece) % 4096 == 0, "blocks are pages");

/* ---- the gather kernel ---- */

static int open_lists(struct m2c_cuda_queue *q, struct m2c_err *err)
{
    const struct m2c_cu *cu = &q->c->cu;
    const size_t bytes =
        (size_t)M2C_CUDA_BLOCKS * M2C_CUDA_PIECES * sizeof(struct m2c_k_piece);
    int r = m2c_cuda_check(cu, cu->host_alloc(&q->lists, bytes, M2C_CU_HOST_MAPPED),
                           "cuMemHostAlloc", err);
    if (r < 0) {
        q->lists = NULL;
        return r;
    }
    r = m2c_cuda_check(cu, cu->host_address(&q->lists_at, q->lists, 0),
                       "cuMemHostGetDevicePointer", err);
    if (r < 0) {
        cu->host_free(q->lists);
        q->lists = NULL;
    }
    return r;
}

void m2c_cuda_copy_fini(struct m2c_cuda_queue *q)
{
    for (unsigned i = 0; i < M2C_CUDA_BLOCKS; i++)
        m2c_cuda_event_drop(q->c, q->block[i]);
    if (q->lists)
        q->c->cu.host_free(q->lists);
}

/* At most M2C_CUDA_PIECES pieces. */
static int gather_block(struct m2c_cuda_queue *q, const struct m2c_copy *batch, size_t n,
                        struct m2c_err *err)
{
    const struct m2c_cu *cu = &q->c->cu;
    const unsigned b = q->next_block;
    const size_t at = (size_t)b * M2C_CUDA_PIECES;
    int r = 0;
    if (q->block[b])
        r = m2c_cuda_check(cu, cu->event_sync(q->block[b]), "cuEventSynchronize", err);
    else
        r = m2c_cuda_event_take(q->c, &q->block[b], err);
    if (r < 0)
        return r;
    struct m2c_k_piece *list = (struct m2c_k_piece *)q->lists + at;
    for (size_t i = 0; i < n; i++)
        list[i] = (struct m2c_k_piece){.dst = m2c_cuda_at(batch[i].dst),
                                       .src = m2c_cuda_at(batch[i].src),
                                       .bytes = batch[i].bytes};
    const struct m2c_k_gather args = {.list = q->lists_at + at * sizeof *list,
                                      .n = (m2c_u32)n};
    const struct m2c_k_shape shape = m2c_k_shape_gather(&q->c->card, &args);
    r = m2c_cuda_run(q, M2C_CUDA_gather, &shape, &args, sizeof args, err);
    r = r < 0 ? r : m2c_cuda_check(cu, cu->event_record(q->block[b], q->stream),
                                   "cuEventRecord", err);
    q->next_block = (b + 1) % M2C_CUDA_BLOCKS;
    return r;
}

static int gather(struct m2c_cuda_queue *q, const struct m2c_copy *batch, size_t n,
                  struct m2c_err *err)
{
    int r = q->lists ? 0 : open_lists(q, err);
    for (size_t i = 0; i < n && r == 0; i += M2C_CUDA_PIECES)
        r = gather_block(q, batch + i, M2C_MIN(n - i, (size_t)M2C_CUDA_PIECES), err);
    return r;
}

/* ---- the driver's own ways ---- */

static int each(struct m2c_cuda_queue *q, const struct m2c_copy *batch, size_t n,
                struct m2c_err *err)
{
    const struct m2c_cu *cu = &q->c->cu;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        if (batch[i].bytes)
            r = m2c_cuda_check(cu,
                               cu->copy(m2c_cuda_at(batch[i].dst), m2c_cuda_at(batch[i].src),
                                        batch[i].bytes, q->stream),
                               "cuMemcpyAsync", err);
    }
    return r;
}

static int batched(struct m2c_cuda_queue *q, const struct m2c_copy *batch, size_t n,
                   struct m2c_err *err)
{
    enum { RUN = 512 };
    const struct m2c_cu *cu = &q->c->cu;
    struct m2c_cu_copy_attributes how = {.order = M2C_CU_ORDER_STREAM};
    m2c_cu_ptr dst[RUN], src[RUN];
    size_t bytes[RUN], from = 0, failed = 0;
    for (size_t done = 0; done < n;) {
        size_t k = 0;
        for (; done < n && k < RUN; done++) {
            dst[k] = m2c_cuda_at(batch[done].dst);
            src[k] = m2c_cuda_at(batch[done].src);
            bytes[k] = batch[done].bytes;
            k += batch[done].bytes != 0;
        }
        int code = k == 0 ? M2C_CU_OK
                   : cu->copy_batch2
                       ? cu->copy_batch2(dst, src, bytes, k, &how, &from, 1, q->stream)
                       : cu->copy_batch(dst, src, bytes, k, &how, &from, 1, &failed,
                                        q->stream);
        int r = m2c_cuda_check(cu, code, "cuMemcpyBatchAsync", err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- which way ---- */

static int go(struct m2c_cuda_queue *q, enum m2c_cuda_copy how, const struct m2c_copy *batch,
              size_t n, struct m2c_err *err)
{
    switch (how) {
    case M2C_CUDA_GATHER:
        return gather(q, batch, n, err);
    case M2C_CUDA_BATCH:
        return batched(q, batch, n, err);
    default:
        return each(q, batch, n, err);
    }
}

static size_t class_bytes(unsigned i)
{
    return (size_t)2048 << 2 * i;
}

static unsigned class_of(size_t bytes)
{
    unsigned i = 0;
    while (i + 1 < M2C_CUDA_SIZES && bytes > class_bytes(i))
        i++;
    return i;
}

/* A kernel cannot reach host memory that is not mapped. */
static bool mapped(struct m2c_mem m)
{
    return m.buf->place != M2C_PLACE_HOST;
}

int m2c_cuda_copy_hook(struct m2c_queue *mq, const struct m2c_copy *batch, size_t n,
                       struct m2c_err *err)
{
    struct m2c_cuda_queue *q = mq->priv;
    size_t bytes = 0;
    bool all_mapped = true;
    for (size_t i = 0; i < n; i++) {
        bytes += batch[i].bytes;
        all_mapped = all_mapped && mapped(batch[i].dst) && mapped(batch[i].src);
    }
    int r = m2c_cuda_check(&q->c->cu, q->c->cu.ctx_set(q->c->ctx), "cuCtxSetCurrent", err);
    if (r < 0)
        return r;
    return go(q, n > 1 && all_mapped ? q->c->copy[class_of(bytes / n)] : M2C_CUDA_EACH,
              batch, n, err);
}

/* ---- measuring ---- */

enum { PIECES = 32, TIMES = 3 };

/* The least time of a few tries; the first warms up. */
static int time_way(struct m2c_cuda_queue *q, enum m2c_cuda_copy how,
                    const struct m2c_copy *batch, uint64_t *best, struct m2c_err *err)
{
    *best = UINT64_MAX;
    for (int i = 0; i < TIMES; i++) {
        uint64_t start = m2c_now_ns();
        int r = go(q, how, batch, PIECES, err);
        r = r < 0 ? r : m2c_cuda_check(&q->c->cu, q->c->cu.stream_sync(q->stream),
                                       "cuStreamSynchronize", err);
        if (r < 0)
            return r;
        if (i)
            *best = M2C_MIN(*best, m2c_now_ns() - start);
    }
    return 0;
}

static bool has_way(const struct m2c_cuda *c, enum m2c_cuda_copy how)
{
    return how != M2C_CUDA_BATCH || c->cu.copy_batch || c->cu.copy_batch2;
}

static int measure(struct m2c_cuda_queue *q, struct m2c_buf *device, struct m2c_buf *pinned,
                   struct m2c_err *err)
{
    for (unsigned s = 0; s < M2C_CUDA_SIZES; s++) {
        struct m2c_copy batch[PIECES];
        uint64_t least = UINT64_MAX, ns;
        for (size_t i = 0; i < PIECES; i++) {
            size_t at = i * class_bytes(s);
            batch[i] = (struct m2c_copy){{device, at}, {pinned, at}, class_bytes(s)};
        }
        for (int how = 0; how < M2C_CUDA_COPIES; how++) {
            if (!has_way(q->c, (enum m2c_cuda_copy)how))
                continue;
            int r = time_way(q, (enum m2c_cuda_copy)how, batch, &ns, err);
            if (r < 0)
                return r;
            if (ns < least) {
                least = ns;
                q->c->copy[s] = (enum m2c_cuda_copy)how;
            }
        }
    }
    return 0;
}

/* With buffers of its own, which no budget sees: they are gone when it returns. */
static int measure_all(struct m2c_dev *dev, struct m2c_err *err)
{
    struct m2c_cuda *c = dev->priv;
    const size_t bytes = PIECES * class_bytes(M2C_CUDA_SIZES - 1);
    struct m2c_cuda_queue q = {.c = c, .stream = c->stream};
    struct m2c_buf device = {.bytes = bytes, .place = M2C_PLACE_DEVICE};
    struct m2c_buf pinned = {.bytes = bytes, .place = M2C_PLACE_PINNED};
    int r = dev->ops->alloc(dev, &device, err);
    if (r < 0)
        return r;
    r = dev->ops->alloc(dev, &pinned, err);
    if (r == 0) {
        r = measure(&q, &device, &pinned, err);
        c->cu.stream_sync(c->stream);
        m2c_cuda_copy_fini(&q);
        dev->ops->free(dev, &pinned);
    }
    dev->ops->free(dev, &device);
    return r;
}

int m2c_cuda_copy_choose(struct m2c_dev *dev, struct m2c_err *err)
{
    static const char *const names[M2C_CUDA_COPIES] = {"each", "gather", "batch"};
    struct m2c_cuda *c = dev->priv;
    const char *word = dev->cfg.copy ? dev->cfg.copy : "auto";
    if (strcmp(word, "auto") == 0)
        return measure_all(dev, err);
    for (int how = 0; how < M2C_CUDA_COPIES; how++) {
        if (strcmp(word, names[how]) != 0)
            continue;
        if (!has_way(c, (enum m2c_cuda_copy)how))
            return m2c_fail(err, -ENOTSUP,
                            "device.copy = %s: the driver has no cuMemcpyBatchAsync", word);
        for (unsigned s = 0; s < M2C_CUDA_SIZES; s++)
            c->copy[s] = (enum m2c_cuda_copy)how;
        return 0;
    }
    return m2c_fail(err, -ENOTSUP, "device.copy = %s: it is auto, each, gather or batch",
                    word);
}
