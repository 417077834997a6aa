/* SPDX-License-Identifier: MIT */
/* The index of our HDF5 files: one JSON object in the user block, at offset
 * 4096, that says what HDF5's metadata says, so that no reader of ours has to
 * parse those. libhdf5 trusts what it has parsed further than a crafted file
 * deserves; here, what the index says is checked before it is used.
 *
 * Numbers are what they are in HDF5, floats with 17 digits, offsets are in the
 * file. Text is UTF-8 without control characters. Unknown keys are ignored. */
#ifndef M2C_STORE_INDEX_IMPL_H
#define M2C_STORE_INDEX_IMPL_H

#include "store/userblock.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Opens a file of ours for reading and checks header, digest and syntax. On
 * success the caller closes *fd and decrefs *index. */
M2C_MUST_USE int m2c_index_open(const char *path, const struct m2c_userblock_kind *kind,
                                int *fd, struct m2c_userblock *head, json_t **index,
                                struct m2c_err *err);

/* What offsets are before they are known: no other has more digits, so that
 * the index of a file in the making has its final size or more. */
#define M2C_INDEX_NOWHERE ((uint64_t)INT64_MAX)
/* Bytes of the user block that such an index needs. -EFBIG, -ENOMEM (index
 * NULL, too). */
M2C_MUST_USE int m2c_index_room(const char *path, const json_t *index, uint64_t *bytes,
                                struct m2c_err *err);
/* Writes the index (NULL: -ENOMEM) and seals the file with it. */
M2C_MUST_USE int m2c_index_write(int fd, const char *path,
                                 const struct m2c_userblock_kind *kind,
                                 const json_t *index, uint64_t userblock,
                                 uint64_t file_bytes, uint64_t head_bytes,
                                 struct m2c_err *err);

/* Any bytes as text for an index: others than printable UTF-8 become '?'. */
void m2c_index_text(char *s);

/* ---- values that are read: -EINVAL names file and value ---- */

struct m2c_node {
    const char *file;
    const json_t *v; /* borrowed */
    char name[160];  /* "config.dim" */
};

M2C_MUST_USE int m2c_node_get(const struct m2c_node *in, const char *key,
                              struct m2c_node *out, struct m2c_err *err);
/* An array of `min` to `max` values. */
M2C_MUST_USE int m2c_node_list(const struct m2c_node *in, const char *key, size_t min,
                               size_t max, struct m2c_node *out, size_t *n,
                               struct m2c_err *err);
struct m2c_node m2c_node_item(const struct m2c_node *list, size_t i);

M2C_MUST_USE int m2c_node_int(const struct m2c_node *n, int64_t min, int64_t max,
                              int64_t *out, struct m2c_err *err);
M2C_MUST_USE int m2c_node_u32(const struct m2c_node *in, const char *key, uint32_t *out,
                              struct m2c_err *err);
M2C_MUST_USE int m2c_node_u64(const struct m2c_node *in, const char *key, uint64_t *out,
                              struct m2c_err *err); /* below 2^63 */
M2C_MUST_USE int m2c_node_str(const struct m2c_node *in, const char *key, size_t size,
                              char *out, struct m2c_err *err);
/* Of the value itself; at most size - 1 bytes, the rest becomes zeros. */
M2C_MUST_USE int m2c_node_text(const struct m2c_node *n, size_t size, char *out,
                               struct m2c_err *err);
M2C_MUST_USE int m2c_node_hash(const struct m2c_node *in, const char *key,
                               struct m2c_hash128 *out, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
