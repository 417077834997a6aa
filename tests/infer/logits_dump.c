/* SPDX-License-Identifier: MIT */
/* logits_dump MODEL.h5 CLASS ID...: logits after every token of a sequence,
 * f32[n][vocab] on stdout, every neuron at one class. For tests. */
#include "infer/engine.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct m2c_err err = {0};
    struct m2c_store *s = NULL;
    struct m2c_engine *e = NULL;
    struct m2c_engine_cfg cfg;
    if (argc < 4)
        return 2;
    int r = m2c_store_open(&s, argv[1], &err);
    if (r == 0) {
        m2c_engine_dense_cfg(s, &cfg);
        int c = m2c_layout_class(m2c_store_layout(s), argv[2]);
        for (unsigned k = 0; k < cfg.tier.ratio.n; k++)
            cfg.tier.ratio.share[k] = (int)k == c;
        r = m2c_engine_open(&e, s, &cfg, &err);
    }
    for (int i = 3; i < argc && r == 0; i++) {
        const float *logits;
        r = m2c_engine_decode(e, (uint32_t)strtoul(argv[i], NULL, 10), &logits, &err);
        if (r == 0)
            fwrite(logits, sizeof *logits, m2c_engine_vocab(e), stdout);
    }
    if (r < 0)
        fprintf(stderr, "%s\n", err.msg);
    m2c_engine_close(e);
    m2c_store_close(s);
    return r < 0;
}
