/* SPDX-License-Identifier: MIT */
/* m2c eval: questions answered by likelihood, or code completed. */
#include "tools/commands.h"
#include "tools/eval_impl.h"

#include <errno.h>
#include <math.h>

static const char *const prefills[] = {"sparse", "dense", NULL};

static const char notes[] =
    "FILE has a JSON object a line, all of one kind:\n"
    "  {\"query\", \"choices\": [...], \"gold\": i}       acc by the sum of "
    "log-likelihoods,\n"
    "                                               acc_norm by that per character\n"
    "  {\"context_options\": [...], \"continuation\", \"gold\": i}   winogrande's "
    "partial way\n"
    "  {\"context\", \"continuation\"}                   lambada: exact greedy match\n"
    "  {\"task_id\", \"prompt\"}                         HumanEval: completions to "
    "--out\n"
    "Conventions as in lm-evaluation-harness, after BOS. Errors are binomial; --against\n"
    "compares with an earlier --json of the same questions, item by item (exact McNemar\n"
    "test, and the difference of the right option's log-likelihood).";

static void print_text(const struct m2c_task *t, const struct m2c_task_score *s,
                       const struct m2c_task_paired *p)
{
    struct m2c_task_figures f;
    m2c_task_figures(t, s, &f);
    printf("task        %s (%s), %u questions\n", t->name, m2c_task_kind_name(t->kind),
           t->n);
    printf("acc         %.4f +- %.4f", f.acc, f.acc_err);
    if (!isnan(f.chance))
        printf("  (chance %.4f)", f.chance);
    if (!isnan(f.acc_norm))
        printf("\nacc_norm    %.4f +- %.4f", f.acc_norm, f.acc_norm_err);
    if (!isnan(f.perplexity))
        printf("\nperplexity  %.4f", f.perplexity);
    printf("\nlikelihood  %.4f nats of the right option\n", f.gold_ll);
    if (p)
        printf(
            "against     acc %+.4f +- %.4f, only here right %u, only there %u, p = %.3g\n"
            "            likelihood %+.5f +- %.5f nats\n",
            p->diff, p->diff_err, p->only_a, p->only_b, p->p, p->ll_diff, p->ll_diff_err);
}

static int print_json(const struct m2c_task *t, const struct m2c_task_score *s,
                      const char *against, const struct m2c_task_paired *p)
{
    json_t *o = m2c_eval_json(t, s);
    if (o && p &&
        json_object_set_new(o, "against", m2c_eval_paired_json(against, p)) < 0) {
        json_decref(o);
        o = NULL;
    }
    return m2c_cli_json(o);
}

static int score(struct m2c_session *s, const struct m2c_eval_args *a,
                 const struct m2c_task *t, struct m2c_log *log, int *code,
                 struct m2c_err *err)
{
    struct m2c_engine *e = NULL;
    struct m2c_progress *bar = NULL;
    struct m2c_task_score sc = {0}, that = {0};
    struct m2c_task_paired p;
    int r = a->against ? m2c_eval_load(a->against, t, &that, err) : 0;
    if (r == 0)
        r = m2c_engine_open(&e, s->store, &s->engine, err);
    if (r == 0)
        r = m2c_progress_open(&bar, log, t->name, t->tokens, "tokens");
    if (r == 0)
        r = m2c_task_run(e, t, m2c_store_cfg(s->store)->bos, a->prefill == 1, bar,
                         m2c_cli_stop(), &sc, err);
    m2c_progress_close(bar);
    if (r == 0 && a->against)
        m2c_task_pair(t->n, sc.right, that.right, sc.gold_ll, that.gold_ll, &p);
    if (r == 0) {
        *code = M2C_EXIT_OK;
        if (a->json)
            *code = print_json(t, &sc, a->against, a->against ? &p : NULL);
        else
            print_text(t, &sc, a->against ? &p : NULL);
    }
    m2c_task_score_free(&sc);
    m2c_task_score_free(&that);
    m2c_engine_close(e);
    return r;
}

static int eval(struct m2c_session *s, const struct m2c_eval_args *a, struct m2c_log *log,
                int *code, struct m2c_err *err)
{
    struct m2c_task t = {0};
    int r = m2c_task_load(a->task, (uint64_t)a->limit, a->seam, s->tok, &t, err);
    if (r < 0)
        return r;
    bool is_code = t.kind == M2C_TASK_CODE;
    if (is_code && (!a->out || a->against))
        r = m2c_fail(err, -EINVAL, "%s: code is completed: %s", a->task,
                     a->out ? "there is nothing to compare --against"
                            : "--out FILE is needed");
    else if (!is_code && a->out)
        r = m2c_fail(err, -EINVAL, "%s: --out is for code to be completed", a->task);
    else if (is_code)
        r = m2c_eval_code(s, a, &t, log, err);
    else
        r = score(s, a, &t, log, code, err);
    if (r == 0 && is_code) {
        *code = M2C_EXIT_OK;
        if (a->json)
            *code = m2c_cli_json(json_pack("{s:s, s:s, s:I, s:s}", "task", t.name, "kind",
                                           m2c_task_kind_name(t.kind), "n",
                                           (json_int_t)t.n, "out", a->out));
        else
            printf("%s: %u completions\n", a->out, t.n);
    }
    m2c_task_free(&t);
    return r;
}

int m2c_cmd_eval(int argc, char **argv)
{
    struct m2c_session_flags sf = {0};
    struct m2c_eval_args a = {.max_new = 512};
    const struct m2c_flag flags[] = {
        {.name = "--task",
         .kind = M2C_FLAG_STR,
         .dest = &a.task,
         .arg = "FILE.jsonl",
         .help = "the questions (needed)"},
        {.name = "--limit",
         .kind = M2C_FLAG_INT,
         .dest = &a.limit,
         .arg = "N",
         .min = 0,
         .max = 1e9,
         .help = "only the first N questions; 0 (default): all"},
        {.name = "--delimiter",
         .kind = M2C_FLAG_STR,
         .dest = &a.seam,
         .arg = "STR",
         .help = "between question and answer (a space)"},
        {.name = "--prefill",
         .kind = M2C_FLAG_ENUM,
         .dest = &a.prefill,
         .choices = prefills,
         .help = "contexts: each token as in decode (sparse), or all neurons in chunks"},
        {.name = "--ctx",
         .kind = M2C_FLAG_INT,
         .dest = &a.ctx,
         .arg = "N",
         .min = 0,
         .max = 16777216,
         .help = "context length; 0 (default): the model's"},
        {.name = "--against",
         .kind = M2C_FLAG_STR,
         .dest = &a.against,
         .arg = "RESULT.json",
         .help = "compare with an earlier --json, question by question"},
        {.name = "--out",
         .letter = 'o',
         .kind = M2C_FLAG_STR,
         .dest = &a.out,
         .arg = "FILE.jsonl",
         .help = "where completions of code go (a new file)"},
        {.name = "--max-new",
         .kind = M2C_FLAG_INT,
         .dest = &a.max_new,
         .arg = "N",
         .min = 1,
         .max = 1048576,
         .help = "tokens of a completion at most (512)"},
        {.name = "--json",
         .kind = M2C_FLAG_ON,
         .dest = &a.json,
         .help = "one JSON object on stdout, with the outcome of every question"},
        M2C_SESSION_FLAGS(&sf),
    };
    const struct m2c_cli cli = {.name = "m2c eval",
                                .args = "MODEL.h5",
                                .brief = "Answers a file of questions",
                                .notes = notes,
                                .flags = flags,
                                .n_flags = M2C_COUNTOF(flags),
                                .min_args = 1,
                                .max_args = 1};
    const char *model;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &model, NULL, &code))
        return code;
    if (!a.task)
        return m2c_cli_usage(&cli, "--task FILE is needed");
    struct m2c_session s;
    struct m2c_err err = {0};
    struct m2c_log *log = m2c_cli_log();
    int r = m2c_session_open_text(&s, model, &sf, &err);
    if (r == 0 && a.ctx)
        s.engine.ctx = (uint32_t)a.ctx;
    if (r == 0)
        r = eval(&s, &a, log, &code, &err);
    if (r < 0)
        code = m2c_session_fail(&s, &err);
    m2c_session_close(&s);
    m2c_log_close(log);
    return code;
}
