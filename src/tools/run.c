/* SPDX-License-Identifier: MIT */
/* m2c run: prompt in, text out. */
#include "infer/generate.h"
#include "tools/commands.h"
#include "tools/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Writes the text of tokens as they come. */
struct printer {
    struct m2c_tok *tok;
    int64_t prev;
    int32_t eos;
};

static int print_token(void *ctx, uint32_t token, struct m2c_err *err)
{
    struct printer *p = ctx;
    char buf[512];
    if ((int64_t)token == p->eos)
        return 0;
    int64_t n = m2c_tok_decode(p->tok, p->prev, token, buf, sizeof buf);
    if (n < 0 || n > (int64_t)sizeof buf)
        return m2c_fail(err, -EINVAL, "token %u cannot be written", token);
    if (n && fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
        return m2c_fail(err, -EIO, "standard output: %s", strerror(errno));
    fflush(stdout);
    p->prev = token;
    return 0;
}

static int make_prompt(const struct m2c_session *s, const char *text, uint32_t **ids,
                       uint32_t *n, struct m2c_err *err)
{
    int32_t bos = m2c_store_cfg(s->store)->bos;
    uint32_t *words = NULL, count = 0;
    if (bos < 0)
        return m2c_fail(err, -EINVAL, "the model names no BOS token to start with");
    int r = text && text[0] ? m2c_text_ids(s->tok, text, strlen(text), &words, &count, err)
                            : 0;
    if (r < 0)
        return r;
    *ids = malloc(((size_t)count + 1) * sizeof **ids);
    if (*ids) {
        (*ids)[0] = (uint32_t)bos;
        if (count)
            memcpy(*ids + 1, words, count * sizeof *words);
        *n = count + 1;
    }
    free(words);
    return *ids ? 0 : m2c_fail(err, -ENOMEM, "prompt: out of memory");
}

struct args {
    const char *prompt, *timeline;
    int64_t n;
    double temp, top_p;
    int64_t seed;
    bool ignore_eos, stats;
};

static void report(const struct m2c_generate_result *g, uint32_t n_prompt)
{
    double s = (double)g->decode_ns * 1e-9;
    fprintf(stderr, "prompt %u tokens, first token after %.3f s", n_prompt,
            (double)g->prefill_ns * 1e-9);
    if (g->n_new > 1)
        fprintf(stderr, ", then %u tokens at %.1f tok/s", g->n_new - 1,
                (g->n_new - 1) / s);
    fputc('\n', stderr);
}

static int generate(const struct m2c_session *s, struct m2c_engine *e,
                    const struct args *a, struct m2c_err *err)
{
    uint32_t *ids = NULL, n = 0;
    int r = make_prompt(s, a->prompt, &ids, &n, err);
    if (r < 0)
        return r;
    struct printer p = {s->tok, -1, a->ignore_eos ? -1 : m2c_store_cfg(s->store)->eos};
    for (uint32_t i = 0; i < n && r == 0; i++)
        r = print_token(&p, ids[i], err);
    uint64_t left = n <= m2c_engine_ctx(e) ? m2c_engine_ctx(e) - n + 1 : 0;
    struct m2c_generate_cfg cfg = {
        .prompt = ids,
        .n_prompt = n,
        .n_new = (uint32_t)(a->n ? (uint64_t)a->n : left),
        .dense_prefill = strcmp(s->cfg.decode.prefill, "dense") == 0,
        .eos = p.eos,
        .sampling = {a->temp, a->top_p, (uint64_t)a->seed, 2},
        .stop = m2c_cli_stop(),
        .token = print_token,
        .ctx = &p};
    struct m2c_generate_result g = {0};
    if (r == 0)
        r = m2c_generate(e, &cfg, &g, err);
    if (r == 0) {
        fputc('\n', stdout);
        fflush(stdout);
        if (a->stats)
            report(&g, n);
    }
    free(g.token_ns);
    free(ids);
    return r;
}

int m2c_cmd_run(int argc, char **argv)
{
    struct m2c_session_flags sf = {0};
    struct args a = {.temp = 0, .top_p = 1, .seed = 1, .n = 0};
    const struct m2c_flag flags[] = {
        {.name = "--prompt", .letter = 'p', .kind = M2C_FLAG_STR, .dest = &a.prompt,
         .arg = "TEXT", .help = "text to go on from; absent: BOS alone"},
        {.name = "--tokens", .letter = 'n', .kind = M2C_FLAG_INT, .dest = &a.n, .arg = "N",
         .min = 0, .max = 16777216, .help = "new tokens; 0 (default): until EOS or the context is full"},
        {.name = "--temp", .kind = M2C_FLAG_FLOAT, .dest = &a.temp, .arg = "T", .min = 0,
         .max = 100, .help = "temperature; 0 (default): greedy"},
        {.name = "--top-p", .kind = M2C_FLAG_FLOAT, .dest = &a.top_p, .arg = "P",
         .min = 1e-6, .max = 1, .help = "nucleus sampling; 1 (default): off"},
        {.name = "--seed", .kind = M2C_FLAG_INT, .dest = &a.seed, .arg = "S", .min = 0,
         .max = 9007199254740992.0, .help = "of sampling; default 1"},
        {.name = "--ignore-eos", .kind = M2C_FLAG_ON, .dest = &a.ignore_eos,
         .help = "go on after EOS"},
        {.name = "--stats", .kind = M2C_FLAG_ON, .dest = &a.stats,
         .help = "say on stderr how fast it was"},
        {.name = "--timeline", .kind = M2C_FLAG_STR, .dest = &a.timeline, .arg = "FILE",
         .help = "write what happened when, as trace events for ui.perfetto.dev"},
        M2C_SESSION_FLAGS(&sf),
    };
    const struct m2c_cli cli = {.name = "m2c run",
                                .args = "MODEL.h5",
                                .brief = "Generates text",
                                .notes = "Prompt and text go to stdout, nothing else does.",
                                .flags = flags,
                                .n_flags = M2C_COUNTOF(flags),
                                .min_args = 1,
                                .max_args = 1};
    const char *model;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &model, NULL, &code))
        return code;
    struct m2c_session s;
    struct m2c_engine *e = NULL;
    struct m2c_err err = {0};
    int r = m2c_session_open_text(&s, model, &sf, &err);
    const char *timeline = a.timeline ? a.timeline : r == 0 ? s.cfg.output.timeline : "";
    struct m2c_timeline **tl = &s.engine.tier.io.timeline;
    if (r == 0 && timeline[0]) {
        r = m2c_timeline_open(tl, timeline, &err);
        m2c_timeline_begin(*tl, model);
    }
    if (r == 0)
        r = m2c_engine_open(&e, s.store, &s.engine, &err);
    if (r == 0)
        r = generate(&s, e, &a, &err);
    m2c_engine_close(e);
    int late = m2c_timeline_close(*tl, r == 0 ? &err : NULL);
    code = r < 0 || late < 0 ? m2c_session_fail(&s, &err) : M2C_EXIT_OK;
    m2c_session_close(&s);
    return code;
}
