/* SPDX-License-Identifier: MIT */
/* The two kinds of processes behind one interface. */
#include "select/process.h"
#include "select/process_impl.h"
#include "store/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct m2c_process {
    struct m2c_numbers *numbers; /* one of the two */
    struct m2c_scaled *scaled;
    struct m2c_process_numbers none;
};

void m2c_draw_order(uint64_t key, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t k = m2c_draw_below(m2c_draw(key, i, UINT32_MAX), i), x = order[k];
        order[k] = order[i - 1];
        order[i - 1] = x;
    }
}

static int check_source(const struct m2c_process_cfg *cfg, struct m2c_err *err)
{
    const struct m2c_process_numbers *num = &cfg->num;
    const struct m2c_trace *t = cfg->source;
    if (t->bytes)
        return m2c_fail(err, -EINVAL,
                        "selector.trace: a foreign trace has no sets to scale");
    if (t->tokens < 2 || t->tokens > UINT32_MAX)
        return m2c_fail(err, -EINVAL,
                        "selector.trace: %" PRIu64 " tokens, at least 2 are needed",
                        t->tokens);
    const struct {
        const char *key;
        double value;
    } given[] = {{"density", num->density},
                 {"concentration", num->concentration},
                 {"overlap", num->overlap},
                 {"spread", num->spread},
                 {"class_change", num->class_change}};
    for (size_t i = 0; i < M2C_COUNTOF(given); i++)
        if (!isnan(given[i].value))
            return m2c_fail(err, -EINVAL,
                            "selector.%s and selector.trace exclude each other: a scaled "
                            "trace brings its own numbers",
                            given[i].key);
    return 0;
}

int m2c_process_open(struct m2c_process **out, const struct m2c_process_cfg *cfg,
                     struct m2c_err *err)
{
    int rc = cfg->source ? check_source(cfg, err) : 0;
    if (rc < 0)
        return rc;
    struct m2c_process *p = calloc(1, sizeof *p);
    if (!p)
        return m2c_fail(err, -ENOMEM, "process: out of memory");
    p->none = (struct m2c_process_numbers){NAN, NAN, NAN, NAN, NAN};
    rc = cfg->source && cfg->fit == M2C_FIT_BLOCKS
             ? m2c_scaled_open(&p->scaled, cfg, err)
             : m2c_numbers_open(&p->numbers, cfg, err);
    if (rc < 0) {
        m2c_process_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

void m2c_process_close(struct m2c_process *p)
{
    if (!p)
        return;
    m2c_numbers_close(p->numbers);
    m2c_scaled_close(p->scaled);
    free(p);
}

void m2c_process_scores(struct m2c_process *p, uint64_t token, uint32_t layer,
                        float *scores)
{
    if (p->scaled)
        m2c_scaled_scores(p->scaled, token, layer, scores);
    else
        m2c_numbers_scores(p->numbers, token, layer, scores);
}

const struct m2c_process_numbers *m2c_process_numbers(const struct m2c_process *p,
                                                      uint32_t layer)
{
    return p->numbers ? &m2c_numbers_fit(p->numbers, layer)->num : &p->none;
}
