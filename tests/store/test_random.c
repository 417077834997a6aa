/* SPDX-License-Identifier: MIT */
/* Stores of random weights: every layout whole, classes that agree within the bounds
 * of their codes, numbers of the stated mean and deviation, an identity that follows
 * from shape and seed, and a mark that stays. */
#include "store/synth.h"

#include "ops/preset.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct m2c_model_cfg shape(uint32_t dim, uint32_t hidden, bool gate)
{
    struct m2c_model_cfg c = m2c_preset_find("tiny", NULL)->cfg;
    c.dim = dim;
    c.hidden = hidden;
    c.has_gate = gate;
    return c;
}

static struct m2c_store *make(const char *path, const struct m2c_model_cfg *c,
                              uint64_t seed, const char *layout, const char *arrange,
                              enum m2c_type dense)
{
    struct m2c_store_write_opts o = {
        .layout = layout, .arrange = arrange, .dense = dense, .overwrite = true};
    struct m2c_store *s = NULL;
    struct m2c_err err = {0};
    uint64_t bad = 1;
    if (m2c_store_synth(path, c, seed, &o, NULL, &err) ||
        m2c_store_open(&s, path, &err) || m2c_store_verify(s, NULL, &bad, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(bad, 0);
    return s;
}

struct sums {
    double n, sum, square;
};

/* All neurons of layer 1: the widest class to the sums, the others against it. */
static void neurons(const struct m2c_store *s, struct sums *sums)
{
    const struct m2c_layout *l = m2c_store_layout(s);
    const struct m2c_model_cfg *c = m2c_store_cfg(s);
    struct m2c_store_range r[M2C_LAYOUT_PARTS];
    uint8_t *bytes[M2C_LAYOUT_PARTS];
    float *wide = malloc(c->dim * sizeof *wide), *x = malloc(c->dim * sizeof *x);
    int fd = open(m2c_store_path(s), O_RDONLY);
    for (uint32_t e = 0; e < m2c_store_extents(s); e++) {
        m2c_store_extent(s, 1, e, &r[e]);
        bytes[e] = malloc(r[e].bytes);
        assert_int_equal(pread(fd, bytes[e], r[e].bytes, (off_t)r[e].offset), r[e].bytes);
    }
    for (uint32_t i = 0; i < c->hidden; i++) {
        for (unsigned v = c->has_gate ? 0 : 1; v < M2C_LAYOUT_VECTORS; v++) {
            struct m2c_coded part[M2C_LAYOUT_PARTS] = {0};
            for (uint32_t q = 0; q < l->n_parts; q++) {
                uint32_t off, e = m2c_store_part_at(s, q, &off);
                uint8_t *rec = bytes[e] + (size_t)i * r[e].stride + off;
                part[q].plane[0] = rec + m2c_store_record(s, q)->code_off[v];
                part[q].scales = rec + m2c_store_record(s, q)->scale_off[v];
            }
            m2c_layout_decode(l, 0, part, c->dim, wide);
            for (uint32_t k = 0; k < c->dim; k++) {
                assert_true(fabsf(wide[k]) < 0.11f);
                sums->n++;
                sums->sum += (double)wide[k];
                sums->square += (double)wide[k] * (double)wide[k];
            }
            for (unsigned cls = 1; cls < l->n_classes; cls++) {
                m2c_layout_decode(l, cls, part, c->dim, x);
                /* Half a step of 1/127 or 1/7 of the largest, and what is rounded. */
                float bound = 0.11f * (cls == 1 ? 1 / 200.0f : 1 / 13.0f);
                for (uint32_t k = 0; k < c->dim; k++)
                    assert_true(fabsf(x[k] - wide[k]) <= bound);
            }
        }
    }
    for (uint32_t e = 0; e < m2c_store_extents(s); e++)
        free(bytes[e]);
    close(fd);
    free(wide);
    free(x);
}

static void test_layouts(void **state)
{
    static const char *const layouts[] = {"copies", "planes"};
    static const char *const arranges[] = {"part", "neuron"};
    /* rows that end within a group, within a byte of 4-bit codes, at a group */
    static const uint32_t dims[] = {52, 33, 64};
    struct m2c_hash128 hash = {0, 0};
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        struct m2c_model_cfg c = shape(dims[i / 4], 300, i % 3 != 0);
        struct m2c_store *s = make(synth_path("t.h5"), &c, 7, layouts[i % 2],
                                   arranges[i / 2 % 2], i % 2 ? M2C_I4 : M2C_F16);
        struct sums sums = {0};
        assert_string_equal(m2c_store_cfg(s)->synthetic, "random weights, seed 7");
        neurons(s, &sums);
        double mean = sums.sum / sums.n, dev = sqrt(sums.square / sums.n);
        /* Vectors may share groups, so allow more than independence would. */
        assert_true(fabs(mean) < 8 * 0.02 / sqrt(sums.n));
        assert_true(fabs(dev - 0.02) < 0.02 * 8 / sqrt(sums.n));
        if (i == 4 || i == 10) /* the layout does not name the model, its shape does */
            assert_false(m2c_hash_equal(hash, m2c_store_model_hash(s)));
        hash = m2c_store_model_hash(s);
        m2c_store_close(s);
    }
}

static void test_identity(void **state)
{
    (void)state;
    struct m2c_model_cfg c = shape(52, 40, true);
    struct m2c_store *a = make(synth_path("a.h5"), &c, 7, "copies", "part", M2C_F16);
    struct m2c_store *b = make(synth_path("b.h5"), &c, 7, "planes", "neuron", M2C_I8);
    struct m2c_store *d = make(synth_path("d.h5"), &c, 8, "copies", "part", M2C_F16);
    struct m2c_store_write_opts o = {.layout = "planes", .arrange = "part"};
    struct m2c_store *r = NULL;
    struct m2c_err err = {0};
    assert_true(m2c_hash_equal(m2c_store_model_hash(a), m2c_store_model_hash(b)));
    assert_false(m2c_hash_equal(m2c_store_model_hash(a), m2c_store_model_hash(d)));
    /* What is made of it is marked, too. */
    assert_int_equal(m2c_store_relayout(synth_path("r.h5"), a, &o, NULL, NULL, &err), 0);
    assert_int_equal(m2c_store_open(&r, synth_path("r.h5"), &err), 0);
    assert_string_equal(m2c_store_cfg(r)->synthetic, "random weights, seed 7");
    assert_true(m2c_hash_equal(m2c_store_model_hash(a), m2c_store_model_hash(r)));
    /* Dense tensors: norms of 1, rows that differ. */
    struct m2c_store_dense t;
    float norm[52];
    uint16_t wq[52 * 52];
    assert_int_equal(m2c_store_read_dense(a, M2C_T_FFN_NORM, 2, norm, NULL, &err), 0);
    for (int i = 0; i < 52; i++)
        assert_true(norm[i] == 1);
    assert_true(m2c_store_dense(a, M2C_T_WQ, 0, &t) && t.rows == 52 && t.cols == 52);
    assert_int_equal(m2c_store_read_dense(a, M2C_T_WQ, 0, wq, NULL, &err), 0);
    for (int i = 1; i < 52; i++)
        assert_memory_not_equal(wq, wq + (size_t)i * 52, 52 * sizeof *wq);
    m2c_store_close(a);
    m2c_store_close(b);
    m2c_store_close(d);
    m2c_store_close(r);
}

static void test_refused(void **state)
{
    (void)state;
    struct m2c_model_cfg c = shape(52, 40, true);
    struct m2c_store_write_opts o = {
        .layout = "copies", .arrange = "part", .dense = M2C_P16};
    struct m2c_err err = {0};
    assert_int_equal(m2c_store_synth(synth_path("x.h5"), &c, 1, &o, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "p16"));
    o.dense = M2C_F16;
    o.layout = "copis";
    assert_int_equal(m2c_store_synth(synth_path("x.h5"), &c, 1, &o, NULL, &err), -ENOENT);
    o.layout = "copies";
    c.kv_heads = 3;
    assert_int_equal(m2c_store_synth(synth_path("x.h5"), &c, 1, &o, NULL, &err), -EINVAL);
    c.kv_heads = 1;
    bool stop = true;
    o.stop = &stop;
    assert_int_equal(m2c_store_synth(synth_path("x.h5"), &c, 1, &o, NULL, &err), -EINTR);
    assert_int_equal(access(synth_path("x.h5"), F_OK), -1);
    stop = false;
    assert_int_equal(m2c_store_synth(synth_path("x.h5"), &c, 1, &o, NULL, &err), 0);
    assert_int_equal(m2c_store_synth(synth_path("x.h5"), &c, 1, &o, NULL, &err), -EEXIST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    synth_clean();
    return failed;
}
