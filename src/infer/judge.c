/* SPDX-License-Identifier: MIT */
/* How good a selection was, against the true activations, and how much of a
 * token's set the token before had wanted. */
#include "infer/engine_impl.h"

/* Both lists are sorted by id. */
static uint32_t common(const struct m2c_want *a, uint32_t n, const struct m2c_want *b,
                       uint32_t m)
{
    uint32_t both = 0;
    for (uint32_t i = 0, j = 0; i < n && j < m;) {
        both += a[i].id == b[j].id;
        uint32_t id = a[i].id;
        i += a[i].id <= b[j].id;
        j += b[j].id <= id;
    }
    return both;
}

static void overlap(struct m2c_engine *e, uint32_t l, uint32_t n)
{
    uint8_t *before = e->wanted_before + (size_t)l * e->model->hidden;
    uint64_t same = 0, kept = 0, prev = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t was = before[e->wants[i].id]; /* class + 1 */
        same += was > 0;
        kept += was == e->wants[i].cls + 1;
    }
    for (uint32_t i = 0; i < e->model->hidden; i++) {
        prev += before[i] > 0;
        before[i] = 0;
    }
    for (uint32_t i = 0; i < n; i++)
        before[e->wants[i].id] = (uint8_t)(e->wants[i].cls + 1);
    e->stats.layer_same[l] += same;
    e->stats.layer_kept[l] += kept;
    e->stats.layer_prev[l] += prev;
}

int m2c_engine_judge(struct m2c_engine *e, uint32_t l, const float *truth,
                     uint32_t n_wants, struct m2c_err *err)
{
    struct m2c_engine_stats *s = &e->stats;
    for (uint32_t i = 0; i < n_wants; i++)
        s->active[e->wants[i].cls]++;
    overlap(e, l, n_wants);
    if (!truth)
        return 0;
    uint32_t n_ideal = 0, n_true = 0, caught_true = 0;
    int r = m2c_selector_ideal(e->selector, l, truth, e->ideal, &n_ideal, err);
    if (r < 0)
        return r;
    double all = 0, caught = 0;
    for (uint32_t i = 0; i < e->model->hidden; i++) {
        n_true += truth[i] > 0;
        all += truth[i];
    }
    for (uint32_t i = 0; i < n_wants; i++) {
        caught_true += truth[e->wants[i].id] > 0;
        caught += truth[e->wants[i].id];
    }
    /* A layer without an active neuron has nothing to be missed. */
    s->recall += n_ideal ? (double)common(e->wants, n_wants, e->ideal, n_ideal) / n_ideal : 1;
    s->recall_true_k += n_true ? (double)caught_true / n_true : 1;
    s->mass += all > 0 ? caught / all : 1;
    s->layer_true[l] += n_true;
    s->judged++;
    s->layer_judged += l == 0;
    return 0;
}
