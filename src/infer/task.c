/* SPDX-License-Identifier: MIT */
/* Reading task files. All records of a file are of one kind, that of the first. */
#include "infer/task.h"

#include "base/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 256 };

static const char *const kinds[] = {"choice", "partial", "last", "code"};

const char *m2c_task_kind_name(enum m2c_task_kind kind)
{
    return kinds[kind];
}

struct loader {
    struct m2c_task *t;
    struct m2c_tok *tok;
    const char *seam;
    struct m2c_err *err;
};

static int no_memory(struct m2c_err *err)
{
    return m2c_fail(err, -ENOMEM, "out of memory");
}

static int get_text(const struct loader *l, const json_t *o, const char *key,
                    const char **out)
{
    *out = json_string_value(json_object_get(o, key));
    return *out ? 0 : m2c_fail(l->err, -EINVAL, "\"%s\": expected a string", key);
}

static uint32_t count_chars(const char *s)
{
    uint32_t n = 0;
    for (; *s; s++)
        n += !m2c_utf8_inner(*s);
    return n;
}

static size_t without_blanks(const char *s)
{
    size_t n = strlen(s);
    while (n && (s[n - 1] == ' ' || (s[n - 1] >= '\t' && s[n - 1] <= '\r')))
        n--;
    return n;
}

/* context, seam and continuation as ids, cut where the context without the
 * blanks at its end would have ended by itself. */
static int make_option(const struct loader *l, const char *context, const char *more,
                       struct m2c_task_option *o)
{
    size_t n_ctx = strlen(context), n_seam = strlen(l->seam), n = strlen(more);
    char *all = malloc(n_ctx + n_seam + n + 1);
    uint32_t *alone = NULL;
    if (!all)
        return no_memory(l->err);
    memcpy(all, context, n_ctx);
    memcpy(all + n_ctx, l->seam, n_seam);
    memcpy(all + n_ctx + n_seam, more, n + 1);
    int r = m2c_text_ids(l->tok, all, n_ctx + n_seam + n, &o->ids, &o->n, l->err);
    if (r == 0)
        r = m2c_text_ids(l->tok, context, without_blanks(context), &alone, &o->n_ctx,
                         l->err);
    free(alone);
    free(all);
    if (r == 0 && o->n_ctx >= o->n)
        r = m2c_fail(l->err, -EINVAL, "no token is left to be scored");
    o->chars = count_chars(more);
    l->t->tokens += r == 0 ? o->n : 0;
    return r;
}

static int new_options(const struct loader *l, struct m2c_task_item *it, size_t n)
{
    if (n < 1 || n > MAX_OPTIONS)
        return m2c_fail(l->err, -EINVAL, "%zu options, expected 1 to %d", n, MAX_OPTIONS);
    it->option = calloc(n, sizeof *it->option);
    if (!it->option)
        return no_memory(l->err);
    it->n = (uint32_t)n;
    l->t->options += n;
    return 0;
}

/* The list under `key` gives the varying side of the seam. */
static int read_choice(const struct loader *l, const json_t *o, struct m2c_task_item *it)
{
    bool partial = l->t->kind == M2C_TASK_PARTIAL;
    const char *key = partial ? "context_options" : "choices", *fixed = NULL;
    const json_t *list = json_object_get(o, key), *gold = json_object_get(o, "gold");
    int r = get_text(l, o, partial ? "continuation" : "query", &fixed);
    if (r == 0)
        r = new_options(l, it, json_array_size(list));
    if (r == 0 && (!json_is_integer(gold) || json_integer_value(gold) < 0 ||
                   json_integer_value(gold) >= it->n))
        r = m2c_fail(l->err, -EINVAL, "\"gold\": expected the place of an option");
    for (uint32_t i = 0; i < it->n && r == 0; i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (!s || !*s)
            return m2c_fail(l->err, -EINVAL, "\"%s\": expected texts", key);
        r = make_option(l, partial ? s : fixed, partial ? fixed : s, &it->option[i]);
    }
    it->gold = r == 0 ? (uint32_t)json_integer_value(gold) : 0;
    return r;
}

static int read_last(const struct loader *l, const json_t *o, struct m2c_task_item *it)
{
    const char *context = NULL, *more = NULL;
    int r = get_text(l, o, "context", &context);
    if (r == 0)
        r = get_text(l, o, "continuation", &more);
    if (r == 0)
        r = new_options(l, it, 1);
    return r < 0 ? r : make_option(l, context, more, &it->option[0]);
}

static int read_code(const struct loader *l, const json_t *o, struct m2c_task_item *it)
{
    const char *id = NULL, *prompt = NULL;
    int r = get_text(l, o, "task_id", &id);
    if (r == 0)
        r = get_text(l, o, "prompt", &prompt);
    if (r == 0)
        r = new_options(l, it, 1);
    if (r == 0 && !(it->id = strdup(id)))
        r = no_memory(l->err);
    struct m2c_task_option *p = &it->option[0];
    if (r == 0)
        r = m2c_text_ids(l->tok, prompt, strlen(prompt), &p->ids, &p->n, l->err);
    if (r == 0)
        p->n_ctx = p->n;
    return r;
}

static int kind_of(const json_t *o, struct m2c_task *t, struct m2c_err *err)
{
    if (json_object_get(o, "choices"))
        t->kind = M2C_TASK_CHOICE;
    else if (json_object_get(o, "context_options"))
        t->kind = M2C_TASK_PARTIAL;
    else if (json_object_get(o, "task_id"))
        t->kind = M2C_TASK_CODE;
    else if (json_object_get(o, "continuation"))
        t->kind = M2C_TASK_LAST;
    else
        return m2c_fail(err, -EINVAL,
                        "no kind of question that m2c knows (needs \"choices\", "
                        "\"context_options\", \"continuation\" or \"task_id\")");
    return 0;
}

static int read_line(const struct loader *l, const char *line, size_t n)
{
    static int (*const readers[])(const struct loader *, const json_t *,
                                  struct m2c_task_item *) = {read_choice, read_choice,
                                                             read_last, read_code};
    struct m2c_task *t = l->t;
    json_error_t je;
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &je);
    if (!o)
        return m2c_fail(l->err, -EINVAL, "column %d: no JSON: %.80s", je.column, je.text);
    int r = json_is_object(o) ? 0 : m2c_fail(l->err, -EINVAL, "expected a JSON object");
    if (r == 0 && t->n == 0)
        r = kind_of(o, t, l->err);
    struct m2c_task_item *more =
        t->n & (t->n - 1) ? t->item
                          : realloc(t->item, (t->n ? 2 * t->n : 1) * sizeof *more);
    if (r == 0 && !more)
        r = no_memory(l->err);
    if (more)
        t->item = more;
    if (r == 0) {
        t->item[t->n] = (struct m2c_task_item){0};
        r = readers[t->kind](l, o, &t->item[t->n++]); /* half-read ones are freed, too */
    }
    json_decref(o);
    return r;
}

static void set_name(struct m2c_task *t, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t n = strcspn(base, ".");
    snprintf(t->name, sizeof t->name, "%.*s", (int)M2C_MIN(n, sizeof t->name - 1), base);
    for (char *c = t->name; *c; c++)
        if (m2c_is_control(*c) || (unsigned char)*c >= 0x80)
            *c = '?';
}

static int read_lines(struct loader *l, const char *text, size_t n, uint64_t limit,
                      struct m2c_hasher *hash)
{
    uint64_t number = 0;
    int r = 0;
    for (const char *p = text, *end = text + n;
         p < end && r == 0 && (!limit || l->t->n < limit);) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        size_t len = (size_t)(stop - p);
        number++;
        if (len && p[len - 1] == '\r')
            len--;
        if (len) {
            r = read_line(l, p, len);
            m2c_hasher_add(hash, p, len);
            m2c_hasher_add(hash, "\n", 1);
        }
        if (r < 0)
            m2c_fail_in(l->err, r, "line %llu", (unsigned long long)number);
        p = nl ? nl + 1 : end;
    }
    if (r == 0 && l->t->n == 0)
        r = m2c_fail(l->err, -EINVAL, "no question in it");
    return r;
}

int m2c_task_load(const char *path, uint64_t limit, const char *seam, struct m2c_tok *tok,
                  struct m2c_task *out, struct m2c_err *err)
{
    struct loader l = {.t = out, .tok = tok, .seam = seam ? seam : " ", .err = err};
    struct m2c_hasher *hash = NULL;
    char *text = NULL;
    size_t n = 0;
    *out = (struct m2c_task){0};
    int r = m2c_text_read(path, &text, &n, err);
    if (r < 0)
        return r;
    set_name(out, path);
    r = m2c_hasher_open(&hash) < 0 ? no_memory(err) : 0;
    if (r == 0 && n >= 2 && memcmp(text, "\x1f\x8b", 2) == 0)
        r = m2c_fail(err, -EINVAL, "a gzip file; unpack it first");
    if (r == 0)
        r = read_lines(&l, text, n, limit, hash);
    if (r == 0)
        out->hash = m2c_hasher_end(hash);
    m2c_hasher_close(hash);
    free(text);
    if (r < 0) {
        m2c_fail_in(err, r, "%s", path);
        m2c_task_free(out);
    }
    return r;
}

void m2c_task_free(struct m2c_task *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        for (uint32_t k = 0; k < t->item[i].n; k++)
            free(t->item[i].option[k].ids);
        free(t->item[i].option);
        free(t->item[i].id);
    }
    free(t->item);
    *t = (struct m2c_task){0};
}
