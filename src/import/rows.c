/* SPDX-License-Identifier: MIT */
/* From encoded elements to f32. Exact for every encoding: f16 and bf16 are
 * subsets of f32, and the quantised ones are defined by f32 arithmetic. */
#include "import/import_impl.h"

#include "base/type.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are little-endian and read as they are"
#endif

uint64_t m2c_source_at(const struct m2c_source *s, uint64_t first)
{
    struct m2c_block b = m2c_enc_block(s->enc);
    return first / b.elements * b.bytes;
}

uint64_t m2c_source_bytes(const struct m2c_source *s, uint64_t first, uint64_t n)
{
    struct m2c_block b = m2c_enc_block(s->enc);
    uint64_t end = first + n;
    uint64_t blocks = end / b.elements + (end % b.elements != 0) - first / b.elements;
    return n ? blocks * b.bytes : 0;
}

uint64_t m2c_source_scale_bytes(const struct m2c_source *s, uint64_t n)
{
    if (s->enc != M2C_ENC_Q80)
        return 0;
    return (n / s->group + (n % s->group != 0)) * sizeof(float);
}

static void decode_q80(const struct m2c_source *s, const int8_t *codes,
                       const uint8_t *scales, uint64_t first, size_t n, float *out)
{
    uint64_t left = s->group - first % s->group; /* of the first group */
    for (size_t i = 0; i < n; left = s->group) {
        float scale;
        memcpy(&scale, scales, sizeof scale);
        scales += sizeof scale;
        for (; left > 0 && i < n; left--, i++)
            out[i] = (float)codes[i] * scale;
    }
}

void m2c_source_decode(const struct m2c_source *s, const void *codes, const void *scales,
                       uint64_t first, size_t n, float *out)
{
    const uint8_t *p = codes;
    uint16_t h;
    switch (s->enc) {
    case M2C_ENC_F32:
        memcpy(out, codes, n * sizeof *out);
        return;
    case M2C_ENC_F16:
        for (size_t i = 0; i < n; i++) {
            memcpy(&h, p + 2 * i, sizeof h);
            out[i] = m2c_f16_to_f32(h);
        }
        return;
    case M2C_ENC_BF16:
        for (size_t i = 0; i < n; i++) {
            memcpy(&h, p + 2 * i, sizeof h);
            out[i] = m2c_bf16_to_f32(h);
        }
        return;
    case M2C_ENC_Q80:
        decode_q80(s, codes, scales, first, n, out);
        return;
    default:
        m2c_blocks_decode(s->enc, p, (uint32_t)(first % m2c_enc_block(s->enc).elements), n,
                          out);
        return;
    }
}

int m2c_source_read(const struct m2c_source *s, uint64_t first, uint64_t n, void *chunk,
                    float *out, struct m2c_err *err)
{
    if (s->enc == M2C_ENC_F32)
        return m2c_import_file_read(s->file, s->offset + first * sizeof *out, out,
                                    (size_t)n * sizeof *out, err);
    /* Codes in the first half, scales (at worst one an element, and one more
     * where a piece begins inside a group) in the second. */
    const uint64_t piece = M2C_IMPORT_CHUNK / 8 - M2C_BLOCK_MAX; /* whole blocks */
    uint8_t *scales = (uint8_t *)chunk + M2C_IMPORT_CHUNK / 2;
    while (n > 0) {
        size_t k = (size_t)M2C_MIN(n, piece);
        int rc = m2c_import_file_read(s->file, s->offset + m2c_source_at(s, first), chunk,
                                      (size_t)m2c_source_bytes(s, first, k), err);
        if (rc == 0 && s->enc == M2C_ENC_Q80) {
            uint64_t g0 = first / s->group, g1 = (first + k - 1) / s->group;
            rc = m2c_import_file_read(s->file, s->scales + g0 * sizeof(float), scales,
                                      (size_t)(g1 - g0 + 1) * sizeof(float), err);
        }
        if (rc)
            return rc;
        m2c_source_decode(s, chunk, scales, first, k, out);
        first += k;
        out += k;
        n -= k;
    }
    return 0;
}
