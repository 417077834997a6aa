/* SPDX-License-Identifier: MIT */
/* The model store: an HDF5 file whose weights are read by their offsets.
 *
 * File format, version 2:
 *   user block     a power of two of bytes, at least 8192
 *     header       [0, 4096) (store/userblock.h): length of the file, where the
 *                  head ends, digest of the head, and a sum of its own
 *     index        from 4096 on (store/store_index.c): all that a reader must
 *                  know, as JSON, so that m2c opens a store without libhdf5
 *   head           [4096, head): index, all HDF5 metadata, /sums and /tokenizer;
 *                  guarded by the digest
 *     /config      attributes (store/config_h5_impl.h): the model, the layout,
 *                  classes, parts, hashes
 *     /tokenizer   u8[n], attribute `kind`; absent without one
 *     /sums        u64[n]: XXH3-64, one a record of an FFN part, one a MiB of
 *                  a dense dataset; a dataset's first is its `first_sum`, the
 *                  bytes under one are its `sum_block`
 *   payload        [head, end): contiguous datasets on multiples of 4096,
 *                  zeros between them; guarded by /sums
 *     /dense/<name>, /dense/<layer>/<name>   codes, attribute `type`:
 *                  f32, f16 or i8 [rows][cols], i4 as u8 [rows][cols / 2]
 *     ….scales     f16 [rows][groups], of i8 and i4
 *     /ffn/<layer>/<part>   u8 [experts][neurons][record bytes], or all parts
 *                  of a neuron side by side in /ffn/<layer>/neurons
 * So the digest covers what is parsed, the sums what is computed with, and
 * `m2c verify` all bytes. libhdf5 is called by import only, which must not run
 * on two threads at a time (Debian's is not thread-safe). A store of another
 * version is refused: it is made again from its source.
 *
 * Neurons have the address (layer, expert, neuron); a dense model has one
 * expert. The data path never goes through libhdf5: it asks for the byte
 * range of a part and reads the file with its own I/O engine. */
#ifndef M2C_STORE_STORE_H
#define M2C_STORE_STORE_H

#include "base/hash.h"
#include "base/log.h"
#include "import/import.h"
#include "quant/layout.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_store;

/* -EINVAL with file, and offset or object, and what was expected, for
 * anything that is not a whole, undamaged-by-its-digest store. */
M2C_MUST_USE int m2c_store_open(struct m2c_store **out, const char *path,
                                struct m2c_err *err);
void m2c_store_close(struct m2c_store *s); /* accepts NULL */

/* A store without a file: what one of this model, layout (copies, planes),
 * arrangement (part, neuron) and type of dense matrices would be. Its extents lie
 * where a file would have them; reading its weights fails with -ENODATA. */
M2C_MUST_USE int m2c_store_shape(struct m2c_store **out, const struct m2c_model_cfg *cfg,
                                 const char *layout, const char *arrange,
                                 enum m2c_type dense, struct m2c_err *err);
bool m2c_store_has_weights(const struct m2c_store *s);

const char *m2c_store_path(const struct m2c_store *s);
const struct m2c_model_cfg *m2c_store_cfg(const struct m2c_store *s);
const struct m2c_layout *m2c_store_layout(const struct m2c_store *s);
struct m2c_hash128 m2c_store_model_hash(const struct m2c_store *s);
struct m2c_hash128 m2c_store_order_hash(const struct m2c_store *s);

/* Geometry of a part's record (packed). Borrowed. */
const struct m2c_geom *m2c_store_record(const struct m2c_store *s, uint32_t part);

enum m2c_arrange m2c_store_arrange(const struct m2c_store *s);
const char *m2c_store_quant(const struct m2c_store *s); /* the FFN's quantiser */

/* FFN records lie in extents, each read as one piece: by the arrangement one
 * for each part of a layer, in the order of parts, or one for all of them.
 * Neuron i's bytes are at offset + i · stride; offset is a multiple of 4096 in
 * the file, bytes = experts · neurons · stride. */
struct m2c_store_range {
    uint64_t offset, bytes;
    uint32_t stride;
};
uint32_t m2c_store_extents(const struct m2c_store *s);
void m2c_store_extent(const struct m2c_store *s, uint32_t layer, uint32_t extent,
                      struct m2c_store_range *out);
/* The extent that has a part, and where in a neuron's bytes the part begins. */
uint32_t m2c_store_part_at(const struct m2c_store *s, uint32_t part, uint32_t *off);
/* Checks neurons [first, first + n) of an extent as they lie in memory, packed;
 * -EIO names file, dataset, record and offset. Thread-safe. */
M2C_MUST_USE int m2c_store_check(const struct m2c_store *s, uint32_t layer,
                                 uint32_t extent, uint32_t first, uint32_t n,
                                 const void *records, struct m2c_err *err);

/* A dense tensor; type and shape. false: the model has none (tied head). */
struct m2c_store_dense {
    enum m2c_type type;
    uint32_t rows, cols;
    uint64_t code_bytes, scale_bytes;
};
bool m2c_store_dense(const struct m2c_store *s, enum m2c_tensor_kind kind, uint32_t layer,
                     struct m2c_store_dense *out);
/* Reads it whole and checks its sums; codes and scales to buffers of the
 * sizes above (scales may be NULL when scale_bytes is 0). */
M2C_MUST_USE int m2c_store_read_dense(const struct m2c_store *s,
                                      enum m2c_tensor_kind kind, uint32_t layer,
                                      void *codes, void *scales, struct m2c_err *err);
uint64_t m2c_store_dense_bytes(const struct m2c_store *s); /* of all of them */

/* Host memory that an open store keeps: its sums, 8 bytes a record. */
uint64_t m2c_store_mem_bytes(const struct m2c_store *s);

/* The embedded tokenizer: kind and bytes, borrowed; false: none. */
bool m2c_store_tokenizer(const struct m2c_store *s, const char **kind, const void **bytes,
                         size_t *n);

/* Reads everything and compares every sum. `bad` counts damaged blocks; the
 * first is described in err (-EIO). */
M2C_MUST_USE int m2c_store_verify(const struct m2c_store *s, struct m2c_log *log,
                                  uint64_t *bad, struct m2c_err *err);

/* ---- writing ---- */

struct m2c_store_write_opts {
    const char *layout;   /* "copies", "planes" */
    const char *arrange;  /* "part", "neuron" */
    const char *quant;    /* of the FFN; NULL: round to nearest (quant/quant.h) */
    /* f32 [layers][dim]: mean square of each input of gate and up, for a
     * calibrated quantiser; else NULL. Not negative. */
    const float *moments;
    enum m2c_type dense;  /* matrices: F32, F16, I8, I4; norms stay F32 */
    bool overwrite;       /* else -EEXIST */
    const char *tok_kind; /* NULL: no tokenizer */
    const void *tok_bytes;
    size_t tok_n;
    const volatile bool *stop; /* set by a signal handler: -EINTR; may be NULL */
};

/* Converts a whole model: streams through a temporary name beside `path`,
 * fsyncs and renames; on any failure nothing is left. Memory: below one
 * source tensor + 64 MiB. Disk space is reserved first (-ENOSPC says how much
 * is needed). */
M2C_MUST_USE int m2c_store_import(const char *path, struct m2c_import *src,
                                  const struct m2c_store_write_opts *opts,
                                  struct m2c_log *log, struct m2c_err *err);

/* A store of this shape with random weights, as many bytes as a real one: normal,
 * with a deviation of 0.02, norms of 1. Its model hash follows from shape and seed,
 * and cfg.synthetic says what it is, whatever is made of it. Memory: 64 MiB.
 * Otherwise as m2c_store_import; opts->quant is not looked at. */
M2C_MUST_USE int m2c_store_synth(const char *path, const struct m2c_model_cfg *cfg,
                                 uint64_t seed, const struct m2c_store_write_opts *opts,
                                 struct m2c_log *log, struct m2c_err *err);

/* Converts a store to another layout or arrangement (opts: layout, arrange,
 * quant, moments, overwrite, stop; the rest stays as it is in `src`). With
 * `order` (u32 [layers][neurons]) neuron i of layer l in the new store is
 * order[l][i] of the old one; -EINVAL where that is no permutation. Records are
 * copied bit for bit where the layout stays; else the old widest class is
 * encoded anew. Otherwise as m2c_store_import. */
M2C_MUST_USE int m2c_store_relayout(const char *path, const struct m2c_store *src,
                                    const struct m2c_store_write_opts *opts,
                                    const uint32_t *order, struct m2c_log *log,
                                    struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
