/* SPDX-License-Identifier: MIT */
/* The references of the ops that choose. A rank is counted, not sorted for:
 * one neuron against all others, which is what the rank means. */
#include "ops/ref_impl.h"

#include <math.h>

void m2c_ref_argmax(const struct m2c_call *call)
{
    const struct m2c_argmax_args *a = &call->u.argmax;
    const float *x = m2c_mem_host(a->x);
    uint32_t *out = m2c_mem_host(a->out);
    for (uint32_t r = 0; r < a->rows; r++, x += a->n) {
        uint32_t best = 0;
        bool nan = false;
        for (uint32_t i = 0; i < a->n; i++) {
            nan = nan || isnan(x[i]);
            best = x[i] > x[best] ? i : best;
        }
        out[r] = nan ? M2C_NO_ID : best;
    }
}

static float score_of(const struct m2c_select_args *a, uint32_t id)
{
    float x = ((const float *)m2c_mem_host(a->scores))[id];
    return a->magnitude ? fabsf(x) : x;
}

static bool candidate(const struct m2c_select_args *a, uint32_t id)
{
    return !a->positive_only || score_of(a, id) > 0;
}

/* How many candidates come before `id`. */
static uint32_t rank_of(const struct m2c_select_args *a, uint32_t id)
{
    uint32_t rank = 0;
    float mine = score_of(a, id);
    for (uint32_t i = 0; i < a->n; i++) {
        float its = score_of(a, i);
        rank += candidate(a, i) && (its > mine || (its == mine && i < id));
    }
    return rank;
}

void m2c_ref_select(const struct m2c_call *call)
{
    const struct m2c_select_args *a = &call->u.select;
    const uint32_t *splits = m2c_mem_host(a->splits);
    struct m2c_want *wants = m2c_mem_host(a->wants);
    uint32_t *counts = m2c_mem_host(a->counts), candidates = 0, n = 0;
    for (uint32_t c = 0; c <= a->n_classes; c++)
        counts[c] = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        if (isnan(score_of(a, i))) {
            counts[0] = M2C_NO_ID;
            counts[1] = i;
            return;
        }
        candidates += candidate(a, i);
    }
    uint32_t m = M2C_MIN(a->k, candidates);
    const uint32_t *ends = splits + (size_t)m * a->n_classes;
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t rank = candidate(a, i) ? rank_of(a, i) : M2C_NO_ID, cls = 0;
        if (rank >= m)
            continue;
        for (uint32_t c = 0; c + 1 < a->n_classes; c++)
            cls += rank >= ends[c];
        wants[n++] = (struct m2c_want){.id = i, .score = score_of(a, i), .cls = cls};
        counts[1 + cls]++;
    }
    counts[0] = n;
}

void m2c_ref_lookup(const struct m2c_call *call)
{
    const struct m2c_lookup_args *a = &call->u.lookup;
    const struct m2c_want *wants = m2c_mem_host(a->wants);
    const uint32_t *table = m2c_mem_host(a->table);
    struct m2c_neuron_ref *list = m2c_mem_host(a->list);
    struct m2c_want *misses = m2c_mem_host(a->misses);
    uint32_t *counts = m2c_mem_host(a->counts);
    uint32_t asked = *(const uint32_t *)m2c_mem_host(a->n_wants);
    uint32_t n = asked > a->k ? 0 : asked;
    counts[0] = asked;
    counts[1] = counts[2] = counts[3] = 0;
    for (uint32_t i = 0; i < a->k; i++) {
        list[i] = (struct m2c_neuron_ref){
            .id = M2C_NO_ID, .slot = M2C_NO_SLOT, .pass = M2C_PASS_NONE};
        if (i >= n)
            continue;
        uint32_t t = table[(size_t)wants[i].cls * a->n_neurons + wants[i].id];
        list[i].id = wants[i].id;
        list[i].cls = (uint8_t)wants[i].cls;
        if (t == M2C_NO_SLOT) {
            misses[counts[3]++] = wants[i];
            continue;
        }
        list[i].slot = t & ((1u << 28) - 1);
        list[i].cls = t >> 28 & 7;
        list[i].pass = (uint8_t)(t >> 31);
        counts[1 + list[i].pass]++;
    }
}
