/* SPDX-License-Identifier: MIT */
/* One tokenizer, several threads. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "m2c_config.h"
#include "samples.h"
#include "token/token.h"

enum { N_THREADS = 4, ROUNDS = 200, ROOM = 64 };

struct job {
    const struct m2c_tok *tok;
    uint32_t want[ROOM];
    int64_t n;
    bool same;
};

static const char text[] = "ab a <u>x bab\xff q1 q2 I'd <t>";

static void *encode(void *arg)
{
    struct job *job = arg;
    uint32_t have[ROOM];
    job->same = true;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t n = m2c_tok_encode_special(job->tok, text, sizeof text - 1, have, ROOM);
        job->same &=
            n == job->n && memcmp(have, job->want, (size_t)n * sizeof *have) == 0;
    }
    return NULL;
}

static int check(const char *kind, const struct sample *file)
{
    struct m2c_tok *t = NULL;
    struct m2c_err err = {0};
    struct job job[N_THREADS];
    pthread_t thread[N_THREADS];
    if (m2c_tok_open_mem(&t, kind, file->b, file->n, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    int rc = 0, started = 0;
    for (; started < N_THREADS; started++) {
        struct job *j = &job[started];
        *j = (struct job){.tok = t};
        j->n = m2c_tok_encode_special(t, text, sizeof text - 1, j->want, ROOM);
        if (j->n < 1 || j->n > ROOM || pthread_create(&thread[started], NULL, encode, j))
            break;
    }
    for (int i = 0; i < started; i++)
        rc |= pthread_join(thread[i], NULL) != 0 || !job[i].same;
    m2c_tok_close(t);
    if (rc || started < N_THREADS)
        fprintf(stderr, "%s: threads disagree\n", kind);
    return rc || started < N_THREADS;
}

int main(void)
{
    static struct sample file;
    sample_l2c(&file);
    int rc = check("llama2c", &file);
    sample_spm(&file);
    rc |= check("spm", &file);
    file.n = 0;
    sample_text(&file, sample_hf_chars);
    rc |= check("hf", &file);
    sample_hf(&file, sample_hf_steps);
    if (M2C_HAVE_PCRE2)
        rc |= check("hf", &file);
    return rc;
}
