/* SPDX-License-Identifier: MIT */
/* m2c eval on code: greedy completions in the format of openai/human-eval, which
 * checks them. m2c runs no foreign code. */
#include "infer/generate.h"
#include "tools/eval_impl.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a function has ended: what begins at the left margin (the stop words of
 * the Codex paper, arXiv 2107.03374, section 2.1). */
static const char *const stops[] = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"};

struct writer {
    const struct m2c_tok *tok;
    char *text;
    size_t n, cap;
    int64_t prev;
};

/* Bytes before the first stop word, or n. */
static size_t before_stop(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < M2C_COUNTOF(stops); k++)
            if (n - i >= strlen(stops[k]) &&
                memcmp(s + i, stops[k], strlen(stops[k])) == 0)
                return i;
    return n;
}

static int add_token(void *ctx, uint32_t token, struct m2c_err *err)
{
    struct writer *w = ctx;
    int64_t n = m2c_tok_decode(w->tok, w->prev, token, NULL, 0);
    if (n < 0)
        return m2c_fail(err, (int)n, "token %u has no text", token);
    if (w->n + (size_t)n > w->cap) {
        size_t cap = 2 * (w->n + (size_t)n);
        char *more = realloc(w->text, cap);
        if (!more)
            return m2c_fail(err, -ENOMEM, "completion: out of memory");
        w->text = more;
        w->cap = cap;
    }
    if (n > 0 && m2c_tok_decode(w->tok, w->prev, token, w->text + w->n, (size_t)n) != n)
        return m2c_fail(err, -EINVAL, "token %u has no text", token);
    w->n += (size_t)n;
    w->prev = token;
    return before_stop(w->text, w->n) < w->n;
}

/* As JSON wants it: what is no UTF-8 (a character that was cut) becomes U+FFFD. */
static json_t *text_json(const char *s, size_t n)
{
    char *out = malloc(3 * n + 1);
    size_t m = 0, len;
    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i += len ? len : 1) {
        len = m2c_utf8_char(s + i, n - i);
        memcpy(out + m, len ? s + i : "\xef\xbf\xbd", len ? len : 3);
        m += len ? len : 3;
    }
    json_t *text = json_stringn(out, m);
    free(out);
    return text;
}

static int write_line(FILE *f, const struct m2c_task_item *it, const struct writer *w,
                      const char *path, struct m2c_err *err)
{
    json_t *o = json_pack("{s:s, s:o}", "task_id", it->id, "completion",
                          text_json(w->text, before_stop(w->text, w->n)));
    char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
    int r = 0;
    if (!line)
        r = m2c_fail(err, -ENOMEM, "completion: out of memory");
    else if (fputs(line, f) < 0 || fputc('\n', f) < 0 || fflush(f) != 0)
        r = m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
    free(line);
    json_decref(o);
    return r;
}

static int complete(struct m2c_engine *e, const struct m2c_session *s,
                    const struct m2c_eval_args *a, const struct m2c_task_item *it,
                    FILE *f, struct m2c_err *err)
{
    const struct m2c_task_option *o = &it->option[0];
    const struct m2c_model_cfg *m = m2c_store_cfg(s->store);
    struct m2c_generate_result res = {0};
    uint32_t *prompt = malloc(((size_t)o->n + 1) * sizeof *prompt);
    if (!prompt)
        return m2c_fail(err, -ENOMEM, "prompt: out of memory");
    prompt[0] = (uint32_t)m->bos;
    for (uint32_t i = 0; i < o->n; i++)
        prompt[i + 1] = o->ids[i];
    struct writer w = {.tok = s->tok, .prev = prompt[o->n]};
    struct m2c_generate_cfg g = {.prompt = prompt,
                                 .n_prompt = o->n + 1,
                                 .n_new = (uint32_t)a->max_new,
                                 .dense_prefill = a->prefill == 1,
                                 .eos = m->eos,
                                 .sampling = {.top_p = 1},
                                 .stop = m2c_cli_stop(),
                                 .token = add_token,
                                 .ctx = &w};
    int r = m2c_generate(e, &g, &res, err);
    if (r >= 0)
        r = write_line(f, it, &w, a->out, err);
    free(res.token_ns);
    free(w.text);
    free(prompt);
    return r < 0 ? m2c_fail_in(err, r, "%s", it->id) : 0;
}

int m2c_eval_code(struct m2c_session *s, const struct m2c_eval_args *a,
                  const struct m2c_task *t, struct m2c_log *log, struct m2c_err *err)
{
    struct m2c_engine *e = NULL;
    struct m2c_progress *bar = NULL;
    if (m2c_store_cfg(s->store)->bos < 0)
        return m2c_fail(err, -EINVAL,
                        "the model names no BOS token to start a text with");
    int r = m2c_engine_open(&e, s->store, &s->engine, err);
    FILE *f = r == 0 ? fopen(a->out, "wx") : NULL;
    if (r == 0 && !f)
        r = m2c_fail(err, -errno, "%s: %s", a->out, strerror(errno));
    if (r == 0)
        r = m2c_progress_open(&bar, log, "completing", t->n, "prompts");
    for (uint32_t i = 0; i < t->n && r == 0; i++) {
        r = complete(e, s, a, &t->item[i], f, err);
        m2c_progress_set(bar, i + 1);
    }
    m2c_progress_close(bar);
    if (f && fclose(f) != 0 && r == 0)
        r = m2c_fail(err, -errno, "%s: %s", a->out, strerror(errno));
    m2c_engine_close(e);
    return r;
}
