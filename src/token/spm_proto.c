/* SPDX-License-Identifier: MIT */
/* The protobuf of a SentencePiece model (sentencepiece_model.proto), as far as
 * BPE needs it. Unknown fields are passed over, as protobuf wants. */
#include "token/spm_impl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* A message inside the file. Offsets are those of the file, for messages. */
struct reader {
    const uint8_t *file;
    size_t at, end;
};

struct field {
    uint32_t number, wire;
    uint64_t value; /* varint, 32 and 64 bits */
    size_t at, n;   /* WIRE_BYTES: a range of the file */
};

static int bad(size_t at, const char *what, struct m2c_err *err)
{
    return m2c_fail(err, -EINVAL, "offset %zu: %s", at, what);
}

static int varint(struct reader *r, uint64_t *out, struct m2c_err *err)
{
    size_t start = r->at;
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end)
            return bad(start, "the file ends inside a number", err);
        uint8_t b = r->file[r->at++];
        *out |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return 0;
    }
    return bad(start, "a number of more than 64 bits", err);
}

static int fixed(struct reader *r, size_t n, uint64_t *out, struct m2c_err *err)
{
    if (r->end - r->at < n)
        return bad(r->at, "the file ends inside a number", err);
    *out = 0;
    for (size_t i = 0; i < n; i++)
        *out |= (uint64_t)r->file[r->at++] << 8 * i;
    return 0;
}

/* 1: a field, 0: the end. */
static int next(struct reader *r, struct field *f, struct m2c_err *err)
{
    size_t start = r->at;
    uint64_t tag;
    if (r->at == r->end)
        return 0;
    int rc = varint(r, &tag, err);
    if (rc < 0)
        return rc;
    *f = (struct field){.number = (uint32_t)(tag >> 3), .wire = (uint32_t)(tag & 7)};
    if (tag > UINT32_MAX || f->number == 0)
        return bad(start, "no field of a protobuf begins like this", err);
    switch (f->wire) {
    case WIRE_VARINT:
        rc = varint(r, &f->value, err);
        break;
    case WIRE_64:
    case WIRE_32:
        rc = fixed(r, f->wire == WIRE_64 ? 8 : 4, &f->value, err);
        break;
    case WIRE_BYTES:
        rc = varint(r, &f->value, err);
        if (rc == 0 && f->value > r->end - r->at)
            rc = m2c_fail(err, -EINVAL, "offset %zu: a field of %llu bytes, %zu are left",
                          start, (unsigned long long)f->value, r->end - r->at);
        if (rc < 0)
            break;
        f->at = r->at;
        f->n = (size_t)f->value;
        r->at += f->n;
        break;
    default:
        return bad(start, "no field of a protobuf begins like this", err);
    }
    return rc < 0 ? rc : 1;
}

static struct reader inside(const struct reader *r, const struct field *f)
{
    return (struct reader){r->file, f->at, f->at + f->n};
}

static struct m2c_spm_bytes bytes_of(const struct reader *r, const struct field *f)
{
    return (struct m2c_spm_bytes){(const char *)r->file + f->at, f->n};
}

/* A known field with another wire type is damage, not a newer version. */
static int want(const struct field *f, uint32_t wire, size_t at, struct m2c_err *err)
{
    return f->wire == wire ? 0 : bad(at, "a field of another type than expected", err);
}

static int grow_types(struct m2c_spm *m)
{
    size_t n = m->p.n_all;
    if (n & (n - 1))
        return 0;
    void *more = realloc(m->type, n ? 2 * n : 1);
    if (!more)
        return -ENOMEM;
    m->type = more;
    return 0;
}

static int parse_piece(struct m2c_spm *m, struct reader r, struct m2c_err *err)
{
    struct m2c_spm_bytes text = {"", 0};
    uint64_t type = M2C_SPM_NORMAL;
    float score = 0;
    struct field f;
    size_t start = r.at, at = r.at;
    int rc;
    while ((rc = next(&r, &f, err)) > 0) {
        if (f.number == 1) {
            rc = want(&f, WIRE_BYTES, at, err);
            text = bytes_of(&r, &f);
        } else if (f.number == 2) {
            uint32_t bits = (uint32_t)f.value;
            rc = want(&f, WIRE_32, at, err);
            memcpy(&score, &bits, 4);
        } else if (f.number == 3) {
            rc = want(&f, WIRE_VARINT, at, err);
            type = f.value;
        }
        if (rc < 0)
            return rc;
        at = r.at;
    }
    if (rc < 0)
        return rc;
    if (text.n == 0 || text.n > M2C_TOK_MAX_TEXT)
        return m2c_fail(err, -EINVAL,
                        "offset %zu: piece %u has %zu bytes, expected 1 to %d", start,
                        m->p.n_all, text.n, M2C_TOK_MAX_TEXT);
    if (!isfinite(score) || type < M2C_SPM_NORMAL || type > M2C_SPM_BYTE)
        return m2c_fail(err, -EINVAL, "offset %zu: piece %u has score %g and type %llu",
                        start, m->p.n_all, (double)score, (unsigned long long)type);
    if (grow_types(m) < 0)
        return m2c_fail(err, -ENOMEM, "out of memory");
    m->type[m->p.n_all] = (uint8_t)type;
    bool mergeable = type == M2C_SPM_NORMAL || type == M2C_SPM_USER_DEFINED;
    if (m2c_pieces_add(&m->p, text.s, (uint32_t)text.n, score, mergeable) < 0)
        return m2c_fail(err, -ENOMEM, "out of memory");
    return 0;
}

static int parse_trainer(struct m2c_spm *m, struct reader r, struct m2c_err *err)
{
    struct field f;
    int rc;
    for (size_t at = r.at; (rc = next(&r, &f, err)) > 0; at = r.at) {
        switch (f.number) {
        case 3:
            rc = want(&f, WIRE_VARINT, at, err);
            m->model_type = f.value;
            break;
        case 24:
            rc = want(&f, WIRE_VARINT, at, err);
            m->space_suffix = f.value != 0;
            break;
        case 35:
            rc = want(&f, WIRE_VARINT, at, err);
            m->byte_fallback = f.value != 0;
            break;
        case 44:
            rc = want(&f, WIRE_BYTES, at, err);
            m->unk_surface = bytes_of(&r, &f);
            break;
        case 46:
            rc = want(&f, WIRE_BYTES, at, err);
            m->bos_piece = bytes_of(&r, &f);
            break;
        case 47:
            rc = want(&f, WIRE_BYTES, at, err);
            m->eos_piece = bytes_of(&r, &f);
            break;
        default:
            break;
        }
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int parse_normalizer(struct m2c_spm *m, struct reader r, struct m2c_err *err)
{
    struct field f;
    int rc;
    for (size_t at = r.at; (rc = next(&r, &f, err)) > 0; at = r.at) {
        bool *flag = f.number == 3   ? &m->dummy_prefix
                     : f.number == 4 ? &m->trim_spaces
                     : f.number == 5 ? &m->escape_spaces
                                     : NULL;
        if (flag) {
            rc = want(&f, WIRE_VARINT, at, err);
            *flag = f.value != 0;
        } else if (f.number == 2) {
            rc = want(&f, WIRE_BYTES, at, err);
            m->charsmap_source = bytes_of(&r, &f);
        }
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* Only whether there is a map at all: it would change what ids decode to. */
static int parse_denormalizer(struct m2c_spm *m, struct reader r, struct m2c_err *err)
{
    struct field f;
    int rc;
    for (size_t at = r.at; (rc = next(&r, &f, err)) > 0; at = r.at) {
        if (f.number == 2) {
            rc = want(&f, WIRE_BYTES, at, err);
            m->denormalizer = bytes_of(&r, &f);
        }
        if (rc < 0)
            return rc;
    }
    return rc;
}

int m2c_spm_parse(struct m2c_spm *m, const uint8_t *bytes, size_t n, struct m2c_err *err)
{
    static const struct {
        uint32_t number;
        int (*parse)(struct m2c_spm *m, struct reader r, struct m2c_err *err);
    } parts[] = {{1, parse_piece},
                 {2, parse_trainer},
                 {3, parse_normalizer},
                 {5, parse_denormalizer}};
    struct reader r = {bytes, 0, n};
    struct field f;
    int rc;
    /* the defaults of the .proto */
    m->model_type = 1;
    m->dummy_prefix = m->trim_spaces = m->escape_spaces = true;
    m->unk_surface = (struct m2c_spm_bytes){" \xe2\x81\x87 ", 5};
    m->bos_piece = (struct m2c_spm_bytes){"<s>", 3};
    m->eos_piece = (struct m2c_spm_bytes){"</s>", 4};
    for (size_t at = 0; (rc = next(&r, &f, err)) > 0; at = r.at) {
        for (size_t i = 0; i < M2C_COUNTOF(parts) && rc >= 0; i++) {
            if (parts[i].number != f.number)
                continue;
            rc = want(&f, WIRE_BYTES, at, err);
            if (rc == 0)
                rc = parts[i].parse(m, inside(&r, &f), err);
        }
        if (rc < 0)
            return rc;
    }
    return rc;
}
