/* SPDX-License-Identifier: MIT */
/* How each kernel is launched: grid, block, dynamic shared memory, and which
 * of an op's entries serves a call. For the host and for tests; kernels see
 * the constants only.
 *
 * Grids are capped by the card, and kernels stride over what is left, so a
 * card's size decides speed and never numbers. Block sizes are fixed: kernels
 * rely on them. No kernel needs more than 48 KiB of shared memory a block,
 * dynamic and static together, so no attribute has to be set. */
#ifndef M2C_KERNELS_CUDA_LAUNCH_H
#define M2C_KERNELS_CUDA_LAUNCH_H

#include "args.h"

enum {
    M2C_K_WARP = 32,
    M2C_K_BLOCK = 256,      /* threads, where nothing else is said */
    M2C_K_WARPS = 8,        /* M2C_K_BLOCK / M2C_K_WARP */
    M2C_K_ROW_TILE = 8,     /* rows that matrows, ffn_up_rows take at once */
    M2C_K_DOWN_ROWS = 4,    /* … ffn_down_rows */
    M2C_K_GEMM_ROWS = 16,   /* MATMUL with this many rows goes through gemm */
    M2C_K_GEMM_TILE_ROWS = 64, /* of y that a block of gemm makes */
    M2C_K_GEMM_TILE_OUTS = 128,
    M2C_K_UP_VECTORS = 2,   /* rows of w, or gate and up, that a warp takes at once */
    M2C_K_DOWN_COLUMNS = 8, /* columns that a thread owns */
    M2C_K_DOWN_BLOCK = 128,
    M2C_K_ATT_BLOCK = 128,
    M2C_K_ATT_QUERIES = 4, /* queries of one kv head that a block takes */
    M2C_K_SUM_BLOCK = 128,
    M2C_K_CHOOSE_BLOCK = 1024, /* argmax, select, lookup */
    M2C_K_SEGMENTS = 64, /* segments of a large layer's FFN sums */
    M2C_K_SEG_MIN = 16   /* neurons a segment has at least */
};

/* What a launch depends on: multiprocessors. */
struct m2c_k_card {
    m2c_u32 sms;
};

struct m2c_k_shape {
    m2c_u32 grid[3], block[3], smem; /* smem: dynamic, bytes a block */
};

static inline m2c_u32 m2c_k_ceil(m2c_u64 a, m2c_u32 b)
{
    return (m2c_u32)(a / b + (a % b != 0));
}

/* blocks of x, at least 1 and at most `waves` a multiprocessor; y, z as given,
 * capped at what a grid may have. */
static inline struct m2c_k_shape m2c_k_grid(const struct m2c_k_card *card, m2c_u64 x,
                                            m2c_u32 waves, m2c_u32 y, m2c_u32 block)
{
    m2c_u64 most = (m2c_u64)card->sms * waves;
    struct m2c_k_shape s = {{1, 1, 1}, {block, 1, 1}, 0};
    x = x < most ? x : most;
    s.grid[0] = x ? (m2c_u32)x : 1;
    s.grid[1] = y == 0 ? 1 : y < 65535 ? y : 65535;
    return s;
}

/* The neurons of a segment of the FFN sums: for m2c_dev_seg_neurons. */
static inline m2c_u32 m2c_k_seg_neurons(m2c_u32 n_neurons)
{
    m2c_u32 n = m2c_k_ceil(n_neurons, M2C_K_SEGMENTS);
    return n < M2C_K_SEG_MIN ? (m2c_u32)M2C_K_SEG_MIN : n;
}

static inline struct m2c_k_shape m2c_k_shape_fill(const struct m2c_k_card *card,
                                                  const struct m2c_k_fill *a)
{
    return m2c_k_grid(card, a->n / (4 * M2C_K_BLOCK) + 1, 8, 1, M2C_K_BLOCK);
}

/* embed_*: a thread takes eight elements; a row is grid.y. */
static inline struct m2c_k_shape m2c_k_shape_embed(const struct m2c_k_card *card,
                                                   const struct m2c_k_embed *a)
{
    return m2c_k_grid(card, m2c_k_ceil(a->cols, 8 * M2C_K_BLOCK), 8, a->rows, M2C_K_BLOCK);
}

/* A row is a block. */
static inline struct m2c_k_shape m2c_k_shape_norm(const struct m2c_k_card *card,
                                                  const struct m2c_k_norm *a)
{
    return m2c_k_grid(card, a->rows, 8, 1, M2C_K_BLOCK);
}

/* MATMUL: rows == 1: matvec_*; rows < M2C_K_GEMM_ROWS: matrows_*, with the bits
 * of matvec_*; else gemm_* (or a library's GEMM). */
static inline struct m2c_k_shape m2c_k_shape_matvec(const struct m2c_k_card *card,
                                                    const struct m2c_k_matmul *a)
{
    return m2c_k_grid(card, m2c_k_ceil(a->outs, M2C_K_WARPS * M2C_K_UP_VECTORS), 8, 1,
                      M2C_K_BLOCK);
}

/* Tiles of rows are grid.x, so that blocks that read the same weights run
 * together. */
static inline struct m2c_k_shape m2c_k_shape_matrows(const struct m2c_k_card *card,
                                                     const struct m2c_k_matmul *a)
{
    return m2c_k_grid(card, m2c_k_ceil(a->rows, M2C_K_ROW_TILE), 1u << 16,
                      m2c_k_ceil(a->outs, M2C_K_WARPS * M2C_K_UP_VECTORS), M2C_K_BLOCK);
}

static inline struct m2c_k_shape m2c_k_shape_gemm(const struct m2c_k_card *card,
                                                  const struct m2c_k_matmul *a)
{
    return m2c_k_grid(card, m2c_k_ceil(a->rows, M2C_K_GEMM_TILE_ROWS), 1u << 16,
                      m2c_k_ceil(a->outs, M2C_K_GEMM_TILE_OUTS), M2C_K_BLOCK);
}

/* A thread turns one pair in every head of a row. */
static inline struct m2c_k_shape m2c_k_shape_rope(const struct m2c_k_card *card,
                                                  const struct m2c_k_rope *a)
{
    return m2c_k_grid(card,
                      m2c_k_ceil((m2c_u64)a->heads * (a->head_dim / 2), M2C_K_BLOCK), 8,
                      a->rows, M2C_K_BLOCK);
}

static inline struct m2c_k_shape m2c_k_shape_kv_append(const struct m2c_k_card *card,
                                                       const struct m2c_k_kv_append *a)
{
    return m2c_k_grid(card, a->n / M2C_K_BLOCK + 1, 8, 1, M2C_K_BLOCK);
}

static inline m2c_u32 m2c_k_attention_splits(m2c_u32 pos, m2c_u32 rows)
{
    return m2c_k_ceil((m2c_u64)pos + rows, M2C_K_KEYS);
}

/* Bytes of `part`; 0 with one split. Rows may be computed a few at a time to
 * bound it: a row's bits do not depend on the others. */
static inline m2c_u64 m2c_k_attention_part_bytes(const struct m2c_k_attention *a)
{
    return a->splits < 2 ? 0
                         : (m2c_u64)a->rows * a->heads * a->splits *
                               ((m2c_u64)a->head_dim + 2) * sizeof(float);
}

/* attention_*: x: queries of a kv head, by tiles; y: splits; z: kv heads.
 * head_dim is even and at most M2C_K_HEAD_DIM_MAX, kv_heads at most 65535. */
static inline struct m2c_k_shape m2c_k_shape_attention(const struct m2c_k_card *card,
                                                       const struct m2c_k_attention *a)
{
    m2c_u64 queries = (m2c_u64)a->rows * (a->heads / a->kv_heads);
    struct m2c_k_shape s = m2c_k_grid(card, m2c_k_ceil(queries, M2C_K_ATT_QUERIES),
                                      1u << 16, a->splits, M2C_K_ATT_BLOCK);
    s.grid[2] = a->kv_heads;
    return s;
}

/* A block joins the splits of one (row, head). */
static inline struct m2c_k_shape
m2c_k_shape_attention_join(const struct m2c_k_card *card, const struct m2c_k_attention *a)
{
    return m2c_k_grid(card, (m2c_u64)a->rows * a->heads, 32, 1, M2C_K_ATT_BLOCK);
}

/* FFN_UP: rows == 1: ffn_up, a warp a neuron. */
static inline struct m2c_k_shape m2c_k_shape_ffn_up(const struct m2c_k_card *card,
                                                    const struct m2c_k_ffn_up *a)
{
    return m2c_k_grid(card, m2c_k_ceil(a->n, M2C_K_WARPS), 8, 1, M2C_K_BLOCK);
}

/* rows > 1: ffn_up_rows, with the bits of ffn_up; x: tiles of rows. */
static inline struct m2c_k_shape m2c_k_shape_ffn_up_rows(const struct m2c_k_card *card,
                                                         const struct m2c_k_ffn_up *a)
{
    return m2c_k_grid(card, m2c_k_ceil(a->rows, M2C_K_ROW_TILE), 1u << 16,
                      m2c_k_ceil(a->n, M2C_K_WARPS), M2C_K_BLOCK);
}

/* FFN_DOWN: x: columns; y: segments; rows == 1: ffn_down. */
static inline struct m2c_k_shape m2c_k_shape_ffn_down(const struct m2c_k_card *card,
                                                      const struct m2c_k_ffn_down *a)
{
    return m2c_k_grid(card,
                      m2c_k_ceil(a->unit.dim, M2C_K_DOWN_BLOCK * M2C_K_DOWN_COLUMNS),
                      1u << 16, a->segments, M2C_K_DOWN_BLOCK);
}

/* rows > 1: ffn_down_rows, with the bits of ffn_down; z: tiles of rows. */
static inline struct m2c_k_shape m2c_k_shape_ffn_down_rows(const struct m2c_k_card *card,
                                                           const struct m2c_k_ffn_down *a)
{
    struct m2c_k_shape s = m2c_k_shape_ffn_down(card, a);
    m2c_u32 z = m2c_k_ceil(a->rows, M2C_K_DOWN_ROWS);
    s.grid[2] = z < 65535 ? z : 65535;
    return s;
}

static inline struct m2c_k_shape m2c_k_shape_ffn_sum(const struct m2c_k_card *card,
                                                     const struct m2c_k_ffn_sum *a)
{
    return m2c_k_grid(card, m2c_k_ceil(a->dim, M2C_K_SUM_BLOCK), 1u << 16, a->rows,
                      M2C_K_SUM_BLOCK);
}

static inline struct m2c_k_shape m2c_k_shape_argmax(const struct m2c_k_card *card,
                                                    const struct m2c_k_argmax *a)
{
    return m2c_k_grid(card, a->rows, 2, 1, M2C_K_CHOOSE_BLOCK);
}

static inline struct m2c_k_shape m2c_k_shape_select(const struct m2c_k_card *card,
                                                    const struct m2c_k_select *a)
{
    (void)a;
    return m2c_k_grid(card, 1, 1, 1, M2C_K_CHOOSE_BLOCK);
}

static inline struct m2c_k_shape m2c_k_shape_lookup(const struct m2c_k_card *card,
                                                    const struct m2c_k_lookup *a)
{
    (void)a;
    return m2c_k_grid(card, 1, 1, 1, M2C_K_CHOOSE_BLOCK);
}

/* A block takes one piece after another. */
static inline struct m2c_k_shape m2c_k_shape_gather(const struct m2c_k_card *card,
                                                    const struct m2c_k_gather *a)
{
    return m2c_k_grid(card, a->n, 4, 1, M2C_K_BLOCK);
}

#endif
