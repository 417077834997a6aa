/* SPDX-License-Identifier: MIT */
/* Text through the steps of a tokenizer.json.
 *
 * Depth first: a piece goes to the end before the next is cut, so that a step
 * that rewrites needs one buffer. Steps follow the structs of their names in
 * huggingface/tokenizers. */
#include "token/hf_impl.h"

#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int m2c_hf_put(struct m2c_hf_buf *b, const char *s, size_t n)
{
    size_t need;
    if (!m2c_add_size(b->n, n, &need))
        return -ENOMEM;
    if (need > b->cap) {
        size_t cap = M2C_MAX(need, M2C_MAX(b->cap / 2 * 3, (size_t)64));
        char *more = realloc(b->s, cap);
        if (!more)
            return -ENOMEM;
        b->s = more;
        b->cap = cap;
    }
    if (n)
        memcpy(b->s + b->n, s, n);
    b->n = need;
    return 0;
}

/* ---- added tokens ---- */

/* Bytes of the character at s where it is Unicode White_Space, else 0. */
static size_t space_at(const char *s, size_t n)
{
    size_t len = n ? m2c_utf8_char(s, n) : 0;
    uint32_t key = m2c_char_key(s, len);
    bool space = len == 1   ? key == ' ' || (key >= '\t' && key <= '\r')
                 : len == 2 ? key == 0xc285 || key == 0xc2a0 /* U+0085, U+00A0 */
                 : len == 3 ? key == 0xe19a80 ||             /* U+1680 */
                                  (key >= 0xe28080 && key <= 0xe2808a) || /* U+2000 on */
                                  key == 0xe280a8 || key == 0xe280a9 || key == 0xe280af ||
                                  key == 0xe2819f || key == 0xe38080
                            : false;
    return space ? len : 0;
}

/* Where the white space before `end` begins. */
static size_t spaces_before(const char *s, size_t end)
{
    while (end) {
        size_t at = end - 1;
        while (at && m2c_utf8_inner(s[at]))
            at--;
        if (space_at(s + at, end - at) != end - at)
            break;
        end = at;
    }
    return end;
}

/* AddedVocabulary::find_matches: a token that does not count still hides what
 * begins inside it. */
static int added(struct m2c_hf_run *r, size_t i, const char *s, size_t n, bool first)
{
    const struct m2c_hf_step *step = &r->h->step[i];
    size_t done = 0, at = 0, len;
    int rc = 0;
    while (rc == 0) {
        uint32_t k = 0;
        size_t start = m2c_match_next(&step->match, s, n, at, &len, &k);
        if (len == 0)
            break;
        const struct m2c_hf_added *a = &r->h->added[k];
        size_t stop = at = start + len;
        if (a->special && !r->special)
            continue;
        if (a->lstrip)
            start = M2C_MAX(spaces_before(s, start), done);
        for (size_t skip; a->rstrip && (skip = space_at(s + stop, n - stop)) > 0;)
            stop += skip;
        if (done < start)
            rc = m2c_hf_piece(r, i + 1, s + done, start - done, first && done == 0);
        if (rc == 0)
            m2c_ids_add(r->out, a->id);
        done = stop;
    }
    if (rc == 0 && done < n)
        rc = m2c_hf_piece(r, i + 1, s + done, n - done, first && done == 0);
    return rc;
}

/* ---- rewriting ---- */

static const char *find(const char *s, size_t n, const char *what, size_t len)
{
    for (const char *end = s + n; (size_t)(end - s) >= len; s++) {
        s = memchr(s, what[0], (size_t)(end - s) - len + 1);
        if (!s || memcmp(s, what, len) == 0)
            return s;
    }
    return NULL;
}

/* Appends s with each `a` as `b`. */
static int replace(struct m2c_hf_buf *b, const char *s, size_t n, const char *from,
                   const char *to)
{
    const char *end = s + n, *hit;
    size_t len = strlen(from);
    int rc = 0;
    while (rc == 0 && (hit = find(s, (size_t)(end - s), from, len))) {
        rc = m2c_hf_put(b, s, (size_t)(hit - s));
        if (rc == 0)
            rc = m2c_hf_put(b, to, strlen(to));
        s = hit + len;
    }
    return rc < 0 ? rc : m2c_hf_put(b, s, (size_t)(end - s));
}

static bool begins(const char *s, size_t n, const char *what)
{
    size_t len = strlen(what);
    return n >= len && memcmp(s, what, len) == 0;
}

static int rewrite(const struct m2c_hf_step *step, struct m2c_hf_buf *b, const char *s,
                   size_t n, bool first)
{
    int rc = 0;
    b->n = 0;
    switch (step->kind) {
    case M2C_HF_PREPEND:
        rc = m2c_hf_put(b, step->a, strlen(step->a));
        return rc < 0 ? rc : m2c_hf_put(b, s, n);
    case M2C_HF_REPLACE:
        return replace(b, s, n, step->a, step->b);
    case M2C_HF_METASPACE:
        if (!begins(s, n, " ") && !begins(s, n, step->a) &&
            (step->scheme == M2C_HF_ALWAYS || (step->scheme == M2C_HF_FIRST && first)))
            rc = m2c_hf_put(b, step->a, strlen(step->a));
        return rc < 0 ? rc : replace(b, s, n, " ", step->a);
    default: /* M2C_HF_PREFIX */
        if (!begins(s, n, " "))
            rc = m2c_hf_put(b, " ", 1);
        return rc < 0 ? rc : m2c_hf_put(b, s, n);
    }
}

/* ---- splitting ---- */

/* Pieces as they are found, each held back until its neighbour has said
 * whether they belong together. */
struct cutter {
    struct m2c_hf_run *run;
    size_t step;
    const char *s;
    bool first;
    size_t from, to; /* held back */
    bool held, is_match;
};

static int emit(struct cutter *c)
{
    bool keep = c->held && c->to > c->from;
    if (c->held && c->is_match && c->run->h->step[c->step].behavior == M2C_HF_REMOVED)
        keep = false;
    c->held = false;
    return keep ? m2c_hf_piece(c->run, c->step + 1, c->s + c->from, c->to - c->from,
                               c->first && c->from == 0)
                : 0;
}

static int cut(struct cutter *c, size_t from, size_t to, bool is_match)
{
    const struct m2c_hf_step *step = &c->run->h->step[c->step];
    bool join = false;
    is_match ^= step->invert;
    if (c->held && step->behavior == M2C_HF_CONTIGUOUS)
        join = is_match == c->is_match;
    else if (c->held && step->behavior == M2C_HF_WITH_PREVIOUS)
        join = is_match && !c->is_match;
    else if (c->held && step->behavior == M2C_HF_WITH_NEXT)
        join = !is_match && c->is_match;
    int rc = join ? 0 : emit(c);
    c->from = join ? c->from : from;
    c->to = to;
    c->held = true;
    c->is_match = is_match;
    return rc;
}

static int next_match(struct m2c_hf_run *r, const struct m2c_hf_step *step, const char *s,
                      size_t n, size_t at, size_t *from, size_t *to)
{
    if (step->re)
        return m2c_regex_next(step->re, r->scratch, s, n, at, from, to);
    size_t len = strlen(step->a);
    const char *hit = find(s + at, n - at, step->a, len);
    *from = hit ? (size_t)(hit - s) : n;
    *to = *from + len;
    return hit != NULL;
}

/* Matches and what lies between, as the iterator of rust-onig has them: an empty
 * match right behind another one does not count. */
static int split(struct m2c_hf_run *r, size_t i, const char *s, size_t n, bool first)
{
    const struct m2c_hf_step *step = &r->h->step[i];
    struct cutter c = {.run = r, .step = i, .s = s, .first = first};
    size_t at = 0, done = 0, from, to;
    bool any = false;
    int rc = 0;
    if (step->re && !r->scratch && !(r->scratch = m2c_regex_scratch_open()))
        return -ENOMEM;
    while (at <= n && (rc = next_match(r, step, s, n, at, &from, &to)) > 0) {
        at = to;
        if (from == to && any && to == done) {
            at += at < n ? m2c_utf8_char(s + at, n - at) : 1;
            continue;
        }
        rc = from > done ? cut(&c, done, from, false) : 0;
        if (rc == 0)
            rc = cut(&c, from, to, true);
        if (rc < 0)
            return rc;
        done = to;
        any = true;
    }
    if (rc == 0 && done < n)
        rc = cut(&c, done, n, false);
    return rc < 0 ? rc : emit(&c);
}

int m2c_hf_piece(struct m2c_hf_run *r, size_t i, const char *s, size_t n, bool first)
{
    if (n == 0)
        return 0;
    if (i == r->h->n_steps)
        return m2c_hf_word(r, s, n);
    const struct m2c_hf_step *step = &r->h->step[i];
    if (step->kind == M2C_HF_ADDED)
        return added(r, i, s, n, first);
    if (step->kind == M2C_HF_SPLIT)
        return split(r, i, s, n, first);
    int rc = rewrite(step, &r->buf[i], s, n, first);
    return rc < 0 ? rc : m2c_hf_piece(r, i + 1, r->buf[i].s, r->buf[i].n, first);
}

int m2c_hf_normalize(const struct m2c_hf *h, const char *s, size_t n, char **out,
                     size_t *n_out)
{
    struct m2c_hf_buf now = {0}, next = {0};
    int rc = m2c_hf_put(&now, s, n);
    for (size_t i = 0; i < h->n_steps && rc == 0; i++) {
        enum m2c_hf_kind kind = h->step[i].kind;
        if (kind != M2C_HF_PREPEND && kind != M2C_HF_REPLACE)
            continue;
        rc = rewrite(&h->step[i], &next, now.s, now.n, true);
        struct m2c_hf_buf swap = now;
        now = next;
        next = swap;
    }
    free(next.s);
    if (rc < 0) {
        free(now.s);
        return rc;
    }
    *out = now.s;
    *n_out = now.n;
    return 0;
}
