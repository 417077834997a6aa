/* SPDX-License-Identifier: MIT */
/* Blocks of quantised weights as ggml packs them (ggml-common.h, ggml-quants.c):
 * each a row's next 32 or 256 weights with their scales. Values are the f32
 * arithmetic of ggml's reference in its order, so that they are bit-equal to
 * gguf.quants.dequantize. */
#include "import/import_impl.h"

#include "base/type.h"

#include <string.h>

static float f16_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return m2c_f16_to_f32(h);
}

/* 32 weights: scale, the offset m (types _1), fifth bits (types Q5), nibbles of
 * which the low ones come first. */
static void decode_nibbles(const uint8_t *p, bool offset, bool five, float *out)
{
    float d = f16_at(p), m = offset ? f16_at(p + 2) : 0;
    const uint8_t *high = p + (offset ? 4 : 2), *low = high + (five ? 4 : 0);
    int middle = offset ? 0 : five ? 16 : 8;
    for (unsigned i = 0; i < 32; i++) {
        int q = i < 16 ? low[i] & 0xf : low[i - 16] >> 4;
        if (five)
            q |= (high[i / 8] >> i % 8 & 1) << 4;
        float v = d * (float)(q - middle);
        out[i] = offset ? v + m : v;
    }
}

static void decode_q8_0(const uint8_t *p, float *out)
{
    float d = f16_at(p);
    for (unsigned i = 0; i < 32; i++)
        out[i] = d * (float)(int8_t)p[2 + i];
}

/* The j-th of eight pairs of six bits: a scale and an offset. */
static void scale_k4(const uint8_t *s, unsigned j, int *scale, int *offset)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *offset = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 0xf) | s[j - 4] >> 6 << 4;
        *offset = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
}

/* 256 weights in eight groups of 32. Q4_K: d, dmin, scales[12], nibbles[128];
 * Q5_K has the fifth bits before the nibbles, bit j of byte i for weight i of
 * group j. */
static void decode_k4(const uint8_t *p, bool five, float *out)
{
    float d = f16_at(p), dmin = f16_at(p + 2);
    const uint8_t *high = p + 16, *low = high + (five ? 32 : 0);
    for (unsigned j = 0; j < 8; j++) {
        int scale, offset;
        scale_k4(p + 4, j, &scale, &offset);
        float a = d * (float)scale, b = dmin * (float)offset;
        for (unsigned i = 0; i < 32; i++) {
            uint8_t pair = low[j / 2 * 32 + i];
            int q = j % 2 ? pair >> 4 : pair & 0xf;
            if (five)
                q |= (high[i] >> j & 1) << 4;
            out[32 * j + i] = a * (float)q - b;
        }
    }
}

/* 256 weights: low four bits[128], high two bits[64], sixteen scales, d. */
static void decode_q6_k(const uint8_t *p, float *out)
{
    float d = f16_at(p + 208);
    for (unsigned i = 0; i < 256; i++) {
        unsigned half = i / 128, quarter = i % 128 / 32, k = i % 32;
        uint8_t low = p[64 * half + quarter % 2 * 32 + k];
        uint8_t high = p[128 + 32 * half + k];
        int q = (quarter / 2 ? low >> 4 : low & 0xf) | (high >> 2 * quarter & 3) << 4;
        out[i] = d * (float)(int8_t)p[192 + i / 16] * (float)(q - 32);
    }
}

struct m2c_block m2c_enc_block(enum m2c_enc enc)
{
    static const struct m2c_block blocks[M2C_N_ENCS] = {
        [M2C_ENC_F32] = {1, 4},      [M2C_ENC_F16] = {1, 2},
        [M2C_ENC_BF16] = {1, 2},     [M2C_ENC_Q80] = {1, 1},
        [M2C_ENC_Q4_0] = {32, 18},   [M2C_ENC_Q4_1] = {32, 20},
        [M2C_ENC_Q5_0] = {32, 22},   [M2C_ENC_Q5_1] = {32, 24},
        [M2C_ENC_Q8_0] = {32, 34},   [M2C_ENC_Q4_K] = {256, 144},
        [M2C_ENC_Q5_K] = {256, 176}, [M2C_ENC_Q6_K] = {256, 210}};
    return blocks[enc];
}

static void decode_block(enum m2c_enc enc, const uint8_t *p, float *out)
{
    switch (enc) {
    case M2C_ENC_Q4_0:
    case M2C_ENC_Q4_1:
        decode_nibbles(p, enc == M2C_ENC_Q4_1, false, out);
        return;
    case M2C_ENC_Q5_0:
    case M2C_ENC_Q5_1:
        decode_nibbles(p, enc == M2C_ENC_Q5_1, true, out);
        return;
    case M2C_ENC_Q8_0:
        decode_q8_0(p, out);
        return;
    case M2C_ENC_Q4_K:
    case M2C_ENC_Q5_K:
        decode_k4(p, enc == M2C_ENC_Q5_K, out);
        return;
    case M2C_ENC_Q6_K:
        decode_q6_k(p, out);
        return;
    case M2C_ENC_F32:
    case M2C_ENC_F16:
    case M2C_ENC_BF16:
    case M2C_ENC_Q80:
    case M2C_N_ENCS:
        return; /* no blocks: rows.c */
    }
}

void m2c_blocks_decode(enum m2c_enc enc, const uint8_t *p, uint32_t skip, size_t n,
                       float *out)
{
    struct m2c_block b = m2c_enc_block(enc);
    for (; n > 0; p += b.bytes, skip = 0) {
        float part[M2C_BLOCK_MAX];
        size_t k = M2C_MIN(n, (size_t)(b.elements - skip));
        if (k == b.elements) {
            decode_block(enc, p, out);
        } else {
            decode_block(enc, p, part);
            memcpy(out, part + skip, k * sizeof *out);
        }
        out += k;
        n -= k;
    }
}
