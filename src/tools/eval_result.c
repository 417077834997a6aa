/* SPDX-License-Identifier: MIT */
/* Results of m2c eval as JSON, and two of them compared. */
#include "tools/eval_impl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *flags(const uint8_t *v, uint32_t n)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(a, json_integer(v[i]));
    return a;
}

static json_t *log_likelihoods(const struct m2c_task *t, const double *ll)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < t->n; i++) {
        json_t *row = json_array();
        for (uint32_t k = 0; k < t->item[i].n; k++)
            json_array_append_new(row, number(*ll++));
        json_array_append_new(a, row);
    }
    return a;
}

static json_t *gold_of(const struct m2c_task *t)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < t->n; i++)
        json_array_append_new(a, json_integer(t->item[i].gold));
    return a;
}

json_t *m2c_eval_json(const struct m2c_task *t, const struct m2c_task_score *s)
{
    struct m2c_task_figures f;
    char hash[33];
    m2c_task_figures(t, s, &f);
    m2c_hash_hex(t->hash, hash);
    return json_pack(
        "{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "task", t->name, "kind", m2c_task_kind_name(t->kind), "items", hash, "n",
        (json_int_t)t->n, "acc", number(f.acc), "acc_err", number(f.acc_err), "acc_norm",
        number(f.acc_norm), "acc_norm_err", number(f.acc_norm_err), "chance",
        number(f.chance), "gold_ll", number(f.gold_ll), "perplexity",
        number(f.perplexity), "gold", gold_of(t), "right", flags(s->right, t->n),
        "right_norm", flags(s->right_norm, t->n), "ll", log_likelihoods(t, s->ll));
}

json_t *m2c_eval_paired_json(const char *path, const struct m2c_task_paired *p)
{
    return json_pack("{s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "file", path,
                     "only_this", (int)p->only_a, "only_that", (int)p->only_b, "acc_diff",
                     number(p->diff), "acc_diff_err", number(p->diff_err), "p",
                     number(p->p), "gold_ll_diff", number(p->ll_diff), "gold_ll_diff_err",
                     number(p->ll_diff_err));
}

/* right and gold_ll of a result; false: it lacks them. */
static bool read_items(const json_t *o, uint32_t n, uint8_t *right, double *ll)
{
    const json_t *r = json_object_get(o, "right"), *all = json_object_get(o, "ll"),
                 *gold = json_object_get(o, "gold");
    if (json_array_size(r) != n || json_array_size(all) != n ||
        json_array_size(gold) != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const json_t *g = json_array_get(gold, i), *x = json_array_get(r, i);
        const json_t *v =
            json_array_get(json_array_get(all, i), (size_t)json_integer_value(g));
        if (!json_is_integer(g) || !json_is_integer(x) || !json_is_number(v))
            return false;
        right[i] = json_integer_value(x) != 0;
        ll[i] = json_number_value(v);
    }
    return true;
}

int m2c_eval_load(const char *path, const struct m2c_task *t, struct m2c_task_score *out,
                  struct m2c_err *err)
{
    char *text = NULL, hash[33];
    size_t n;
    json_error_t je;
    *out = (struct m2c_task_score){0};
    int r = m2c_text_read(path, &text, &n, err);
    if (r < 0)
        return r;
    json_t *o = json_loadb(text, n, 0, &je);
    free(text);
    if (!o)
        return m2c_fail(err, -EINVAL, "%s: line %d, column %d: no JSON", path, je.line,
                        je.column);
    out->right = calloc(t->n, 1);
    out->gold_ll = calloc(t->n, sizeof *out->gold_ll);
    const char *items = json_string_value(json_object_get(o, "items"));
    m2c_hash_hex(t->hash, hash);
    if (!out->right || !out->gold_ll)
        r = m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    else if (!items || strcmp(items, hash) != 0)
        r = m2c_fail(err, -EINVAL, "%s: %s", path,
                     items ? "of other questions than these" : "no result of m2c eval");
    else if (!read_items(o, t->n, out->right, out->gold_ll))
        r = m2c_fail(err, -EINVAL, "%s: lacks the outcome of each question", path);
    json_decref(o);
    if (r < 0)
        m2c_task_score_free(out);
    return r;
}
