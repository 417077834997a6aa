/* SPDX-License-Identifier: MIT */
/* What an importer is made of; for src/import only.
 *
 * An importer reads headers. It fills in the config and says where each
 * tensor lies and how its numbers are encoded; import.c checks that against
 * the files and rows.c reads and converts, so that bounds and conversions
 * exist once. To add a format: one file with an ops table, one line in the
 * registry of import.c, one test. */
#ifndef M2C_IMPORT_IMPORT_IMPL_H
#define M2C_IMPORT_IMPORT_IMPL_H

#include "import/import.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A regular file open for reading; its size was taken at open. All zero is
 * "not open". */
struct m2c_import_file {
    char *path; /* NULL: not open */
    int fd;
    uint64_t size;
};

/* -ENOENT and friends; -EINVAL for anything but a regular file. */
M2C_MUST_USE int m2c_import_file_open(struct m2c_import_file *f, const char *path,
                                      struct m2c_err *err);
void m2c_import_file_close(struct m2c_import_file *f); /* accepts "not open" */
/* Exactly n bytes at off, or -EIO naming file and offset. */
M2C_MUST_USE int m2c_import_file_read(const struct m2c_import_file *f, uint64_t off,
                                      void *dst, size_t n, struct m2c_err *err);

/* Encodings of numbers, little-endian, flat and row-major. From Q4_0 on: ggml's
 * blocks, which hold their scales and cross no row. */
enum m2c_enc {
    M2C_ENC_F32,
    M2C_ENC_F16,
    M2C_ENC_BF16,
    M2C_ENC_Q80, /* int8; f32 scales elsewhere, one a `group` of the flat order */
    M2C_ENC_Q4_0,
    M2C_ENC_Q4_1,
    M2C_ENC_Q5_0,
    M2C_ENC_Q5_1,
    M2C_ENC_Q8_0,
    M2C_ENC_Q4_K,
    M2C_ENC_Q5_K,
    M2C_ENC_Q6_K,
    M2C_N_ENCS
};

/* What is decoded together: elements and their bytes. */
struct m2c_block {
    uint32_t elements, bytes;
};
enum { M2C_BLOCK_MAX = 256 };
struct m2c_block m2c_enc_block(enum m2c_enc enc);
/* n elements of ggml blocks, from element `skip` of the block at p on. */
void m2c_blocks_decode(enum m2c_enc enc, const uint8_t *p, uint32_t skip, size_t n,
                       float *out);

/* One tensor in a file. */
struct m2c_source {
    const struct m2c_import_file *file; /* borrowed from the importer */
    enum m2c_enc enc;
    uint64_t offset; /* of element [0][0] */
    uint64_t scales; /* Q80: offset of the first scale */
    uint32_t group;  /* Q80: elements a scale, at least 1; may cross rows */
};

/* Bytes of codes before the block that holds element `first`, at most 2^48. */
uint64_t m2c_source_at(const struct m2c_source *s, uint64_t first);
/* Bytes of codes that hold elements [first, first + n). */
uint64_t m2c_source_bytes(const struct m2c_source *s, uint64_t first, uint64_t n);
/* Bytes of scales of `n` elements from the first on. */
uint64_t m2c_source_scale_bytes(const struct m2c_source *s, uint64_t n);
/* Elements [first, first + n) of the flat order as f32. `codes` begins at the
 * block of element `first`, `scales` at the scale of element `first`. */
void m2c_source_decode(const struct m2c_source *s, const void *codes, const void *scales,
                       uint64_t first, size_t n, float *out);
enum { M2C_IMPORT_CHUNK = 1 << 20 };
/* The same from the file, through chunk[M2C_IMPORT_CHUNK]. */
M2C_MUST_USE int m2c_source_read(const struct m2c_source *s, uint64_t first, uint64_t n,
                                 void *chunk, float *out, struct m2c_err *err);

/* What an importer sees before it is chosen. */
struct m2c_import_probe {
    const char *path;
    bool is_dir;
    uint64_t size;     /* of the file */
    uint8_t head[256]; /* the first bytes; n_head of them */
    size_t n_head;
};

/* Instances are used by one thread at a time. */
struct m2c_import_ops {
    struct m2c_plugin p;
    /* Mandatory. Whether this looks like the format: generous, so that a
     * damaged file gets the importer's own message. Touches nothing. */
    bool (*sniff)(const struct m2c_import_probe *probe);
    /* Mandatory. Reads the headers: fills im->cfg (the caller checks and then
     * overrides it by the options) and im->tokenizer (malloc; NULL when
     * there is none). On failure close is called. */
    int (*open)(struct m2c_import *im, const char *path, struct m2c_err *err);
    /* Mandatory. Must accept a half-open instance. */
    void (*close)(struct m2c_import *im);
    /* Mandatory. Where a tensor lies that m2c_tensor_shape says exists; the
     * caller has checked kind and layer. */
    void (*find)(const struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer,
                 struct m2c_source *out);
};

struct m2c_import {
    const struct m2c_import_ops *ops;
    void *priv; /* ops->p.priv_size bytes, zeroed */
    struct m2c_model_cfg cfg;
    char *tokenizer;
    uint8_t *chunk; /* M2C_IMPORT_CHUNK */
};

extern const struct m2c_import_ops m2c_import_llama2c;
extern const struct m2c_import_ops m2c_import_hf;
extern const struct m2c_import_ops m2c_import_gguf;

/* ---- helpers of importers ---- */

/* Vectors: one row; f32 in every format that quantises the rest. */
bool m2c_tensor_kind_is_norm(enum m2c_tensor_kind kind);

/* The whole JSON file, at most max_bytes; duplicate keys are refused. The root
 * must be an object. Errors name file, line and column. */
M2C_MUST_USE int m2c_import_json(const char *path, uint64_t max_bytes, json_t **out,
                                 struct m2c_err *err);
/* Parses n bytes; `path` and `what` are for the message. */
M2C_MUST_USE int m2c_import_json_text(const char *text, size_t n, const char *path,
                                      const char *what, json_t **out,
                                      struct m2c_err *err);

/* dir/name, malloc; NULL: no memory. */
char *m2c_import_join(const char *dir, const char *name);
/* The folder of a path ("." for a bare name), malloc; NULL: no memory. */
char *m2c_import_dirname(const char *path);
/* The first of `names` (NULL-terminated) that is a regular file in dir:
 * its path, malloc; NULL: none. */
char *m2c_import_beside(const char *dir, const char *const *names);
/* cfg->name from a path: the last part without extension, or the folder's
 * name where that is only "model"; printable. */
void m2c_import_name(struct m2c_model_cfg *cfg, const char *path);

/* A foreign name made fit for a message: one line, at most 95 bytes. */
struct m2c_quoted {
    char s[96];
};
struct m2c_quoted m2c_import_quote(const char *name);

#ifdef __cplusplus
}
#endif
#endif
