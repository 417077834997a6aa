/* SPDX-License-Identifier: MIT */
/* Memory of the opencl backend.
 *
 * A buffer larger than one allocation of the device may be is several windows
 * of 1 << shift bytes, each of which also has the first bytes of the next one:
 * so a row of a matrix, or a neuron's slot, lies in one allocation whole, and a
 * kernel chooses among the windows once a row, not once an element. */
#include "dev/opencl_impl.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAD = 4096 };

static int zero(struct m2c_cl *c, cl_mem mem, size_t bytes, struct m2c_err *err)
{
    const cl_uint nothing = 0;
    cl_int e = clEnqueueFillBuffer(c->queue, mem, &nothing, sizeof(nothing), 0, bytes, 0, NULL,
                                   NULL);
    if (e == CL_SUCCESS)
        e = clFinish(c->queue);
    return e == CL_SUCCESS ? 0 : m2c_cl_fail(err, e, "zeroing it");
}

static int alloc_device(struct m2c_cl *c, struct m2c_cl_buf *b, size_t bytes,
                        struct m2c_err *err)
{
    const uint64_t step = UINT64_C(1) << c->shift;
    size_t n = bytes <= c->max_alloc ? 1 : (size_t)((bytes - 1) >> c->shift) + 1;
    b->window_bytes = n == 1 ? bytes : step + c->overlap;
    for (b->n = 0; b->n < n; b->n++) {
        uint64_t left = n == 1 ? bytes : bytes - b->n * step;
        size_t size = m2c_align_up((size_t)M2C_MAX(M2C_MIN(left, b->window_bytes), UINT64_C(4)), 4);
        cl_int e;
        b->mem[b->n] = clCreateBuffer(c->context, CL_MEM_READ_WRITE, size, NULL, &e);
        if (e != CL_SUCCESS)
            return m2c_cl_fail(err, e, "clCreateBuffer");
        int r = zero(c, b->mem[b->n], size, err);
        if (r < 0) {
            b->n++; /* this one is there, too */
            return r;
        }
    }
    return 0;
}

/* Memory that the driver pins is mapped for as long as it lives. More than the
 * device allocates at once cannot be had from the driver: it is plain memory
 * then, which copies reach at the speed that the driver has for it. */
static int alloc_pinned(struct m2c_cl *c, struct m2c_cl_buf *b, struct m2c_buf *buf,
                        struct m2c_err *err)
{
    cl_int e;
    b->mem[0] = clCreateBuffer(c->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR,
                               buf->bytes + PAD, NULL, &e);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "clCreateBuffer");
    b->n = 1;
    unsigned char *p = clEnqueueMapBuffer(c->queue, b->mem[0], CL_TRUE,
                                          CL_MAP_READ | CL_MAP_WRITE, 0, buf->bytes + PAD, 0,
                                          NULL, NULL, &e);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "clEnqueueMapBuffer");
    b->pages = p; /* as mapped */
    buf->host = (void *)m2c_align_up((uintptr_t)p, PAD);
    memset(buf->host, 0, buf->bytes);
    return 0;
}

static int alloc_pages(struct m2c_cl_buf *b, struct m2c_buf *buf, struct m2c_err *err)
{
    int r = m2c_pages_alloc(buf->bytes, &b->pages);
    buf->host = b->pages;
    return r < 0 ? m2c_fail(err, r, "the system has no more memory") : 0;
}

int m2c_cl_alloc(struct m2c_dev *dev, struct m2c_buf *buf, struct m2c_err *err)
{
    struct m2c_cl *c = dev->priv;
    size_t windows = (size_t)(buf->bytes >> c->shift) + 1;
    struct m2c_cl_buf *b = calloc(1, sizeof(*b) + windows * sizeof(cl_mem));
    if (!b)
        return m2c_fail(err, -ENOMEM, "out of memory");
    b->mem = (cl_mem *)(void *)(b + 1);
    buf->handle = (uintptr_t)b;
    int r;
    if (buf->place == M2C_PLACE_DEVICE)
        r = alloc_device(c, b, buf->bytes, err);
    else if (buf->place == M2C_PLACE_PINNED && buf->bytes <= c->max_alloc - PAD)
        r = alloc_pinned(c, b, buf, err);
    else
        r = alloc_pages(b, buf, err);
    if (r < 0)
        m2c_cl_free(dev, buf);
    return r;
}

void m2c_cl_free(struct m2c_dev *dev, struct m2c_buf *buf)
{
    struct m2c_cl *c = dev->priv;
    struct m2c_cl_buf *b = m2c_cl_buf(buf);
    if (b->n && b->pages &&
        clEnqueueUnmapMemObject(c->queue, b->mem[0], b->pages, 0, NULL, NULL) == CL_SUCCESS)
        clFinish(c->queue);
    if (b->n == 0)
        m2c_pages_free(b->pages, buf->bytes);
    for (size_t i = 0; i < b->n; i++)
        clReleaseMemObject(b->mem[i]);
    free(b);
}

void m2c_cl_locate(const struct m2c_cl *c, struct m2c_mem m, struct m2c_cl_place *out)
{
    const struct m2c_cl_buf *b = m2c_cl_buf(m.buf);
    if (b->n == 1) {
        const uint64_t left = m.buf->bytes - m.off;
        *out = (struct m2c_cl_place){
            .mem = b->mem[0], .off = m.off, .left = left, .whole = left};
        return;
    }
    const uint64_t step = UINT64_C(1) << c->shift;
    size_t i = m.off >> c->shift;
    uint64_t off = m.off & (step - 1);
    *out = (struct m2c_cl_place){.mem = b->mem[i],
                                 .off = off,
                                 .left = step - off,
                                 .whole = b->window_bytes - off};
    if (i && off < c->overlap) { /* the head of a window is the tail of the one before */
        out->also = b->mem[i - 1];
        out->also_off = step + off;
        out->left = c->overlap - off;
    }
    /* Bytes that the next window has as its head are in two windows, too, but
     * they are counted as its own. */
    out->left = M2C_MIN(out->left, m.buf->bytes - m.off);
    out->whole = M2C_MIN(out->whole, m.buf->bytes - m.off);
}
