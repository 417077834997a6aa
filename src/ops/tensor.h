/* SPDX-License-Identifier: MIT */
/* Where operands lie: a buffer of some backend and an offset into it. */
#ifndef M2C_OPS_TENSOR_H
#define M2C_OPS_TENSOR_H

#include "base/type.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Memory of a device. `host` is its address for the CPU, or NULL when the
 * CPU cannot see it. Owned by the device that made it. */
struct m2c_buf {
    uint64_t handle; /* the backend's own */
    void *host;
    size_t bytes;
    int place; /* enum m2c_place of dev/dev.h */
};

/* A place in a buffer; borrowed. Reaches to the end of what the op needs. */
struct m2c_mem {
    const struct m2c_buf *buf;
    size_t off; /* bytes */
};

static inline struct m2c_mem m2c_mem_at(struct m2c_mem m, size_t off)
{
    m.off += off;
    return m;
}

/* Host address; NULL where the buffer is not host-visible. */
static inline void *m2c_mem_host(struct m2c_mem m)
{
    return m.buf && m.buf->host ? (unsigned char *)m.buf->host + m.off : NULL;
}

/* A matrix, row-major, rows × cols. A grouped type (I8, I4) quantises along
 * each row: codes are rows × m2c_code_bytes(type, cols), scales are rows ×
 * m2c_scale_bytes(type, cols). A vector has one row. */
struct m2c_tensor {
    enum m2c_type type;
    uint32_t rows, cols;
    struct m2c_mem codes, scales;
};

#ifdef __cplusplus
}
#endif
#endif
