/* SPDX-License-Identifier: MIT */
/* tasks: questions answered by likelihood, each file a task.
 *
 * Nothing here is timed. Tokens go one by one as in decode. Every point sees the
 * same questions in the same order; the samples hold the outcome of each, so that
 * points can be compared question by question. */
#include "experiments/experiments.h"

#include "infer/task.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TASKS = 32 };

struct tasks {
    struct m2c_engine *engine;
    struct m2c_task task[MAX_TASKS];
    unsigned n;
};

/* Figures are named by the task: two of one name would be one. */
static int check_name(const struct tasks *p, const char *path, struct m2c_err *err)
{
    const struct m2c_task *t = &p->task[p->n - 1];
    if (t->kind == M2C_TASK_CODE)
        return m2c_fail(err, -EINVAL,
                        "%s: code is completed, not scored (m2c eval --out)", path);
    for (unsigned i = 0; i + 1 < p->n; i++)
        if (strcmp(p->task[i].name, t->name) == 0)
            return m2c_fail(err, -EINVAL, "%s: a second task called '%s'", path, t->name);
    return 0;
}

static int load(struct m2c_run *run, struct tasks *p, struct m2c_err *err)
{
    const struct m2c_settings *c = run->cfg;
    int r = 0;
    for (const char *at = c->tasks.files; *at && r == 0;) {
        size_t n = strcspn(at, ",");
        char *path = strndup(at, n);
        if (!path)
            return m2c_fail(err, -ENOMEM, "tasks: out of memory");
        if (p->n == MAX_TASKS)
            r = m2c_fail(err, -EINVAL, "[tasks] files: more than %d", MAX_TASKS);
        if (r == 0)
            r = m2c_task_load(path, (uint64_t)c->tasks.limit, NULL, run->tok,
                              &p->task[p->n++], err);
        if (r == 0)
            r = check_name(p, path, err);
        free(path);
        at += n;
        at += strspn(at, ", ");
    }
    return r;
}

static int setup(struct m2c_run *run, struct m2c_err *err)
{
    struct tasks *p = run->priv;
    if (!run->cfg->tasks.files[0])
        return m2c_fail(err, -EINVAL, "[tasks] files: no task is named");
    if (!run->tok)
        return m2c_fail(err, -EINVAL, "%s holds no tokenizer",
                        m2c_store_path(run->store));
    int r = load(run, p, err);
    return r < 0 ? r : m2c_run_engine(run, &p->engine, err);
}

static int put_samples(struct m2c_run *run, const struct m2c_task *t,
                       const struct m2c_task_score *s, struct m2c_err *err)
{
    char name[96];
    double *right = calloc(t->n, sizeof *right);
    if (!right)
        return m2c_fail(err, -ENOMEM, "tasks: out of memory");
    for (uint32_t i = 0; i < t->n; i++)
        right[i] = s->right[i];
    snprintf(name, sizeof name, "task_right.%s", t->name);
    int r = m2c_run_samples(run, name, right, t->n, err);
    snprintf(name, sizeof name, "task_ll.%s", t->name);
    if (r == 0)
        r = m2c_run_samples(run, name, s->gold_ll, t->n, err);
    free(right);
    return r;
}

static int put(struct m2c_run *run, const struct m2c_task *t,
               const struct m2c_task_score *s, struct m2c_err *err)
{
    struct m2c_task_figures f;
    m2c_task_figures(t, s, &f);
    const struct {
        const char *name;
        double value;
    } rows[] = {
        {"task_n", t->n},
        {"task_acc", f.acc},
        {"task_acc_err", f.acc_err},
        {"task_acc_norm", f.acc_norm},
        {"task_acc_norm_err", f.acc_norm_err},
        {"task_ll", f.gold_ll},
        {"task_perplexity", f.perplexity},
    };
    int r = 0;
    for (size_t i = 0; i < M2C_COUNTOF(rows) && r == 0; i++)
        if (!isnan(rows[i].value)) /* what this kind of task does not have */
            r = m2c_figure_put(run->figures, rows[i].name, t->name, rows[i].value,
                               M2C_MEASURED, "answered questions", err);
    return r < 0 ? r : put_samples(run, t, s, err);
}

static int step(struct m2c_run *run, struct m2c_err *err)
{
    struct tasks *p = run->priv;
    int r = 0;
    for (unsigned i = 0; i < p->n && r == 0; i++) {
        struct m2c_task_score s;
        r = m2c_task_run(p->engine, &p->task[i], m2c_store_cfg(run->store)->bos, false,
                         NULL, run->stop, &s, err);
        if (r < 0)
            break;
        r = put(run, &p->task[i], &s, err);
        m2c_task_score_free(&s);
    }
    return r;
}

static void teardown(struct m2c_run *run)
{
    struct tasks *p = run->priv;
    m2c_engine_close(p->engine);
    for (unsigned i = 0; i < p->n; i++)
        m2c_task_free(&p->task[i]);
}

const struct m2c_exp_ops m2c_exp_tasks = {
    .p = {.name = "tasks",
          .desc = "accuracy on questions: multiple choice, winogrande, lambada",
          .priv_size = sizeof(struct tasks)},
    .setup = setup,
    .step = step,
    .teardown = teardown,
};
