/* SPDX-License-Identifier: MIT */
/* Reading profiles: everything there, and possible together. */
#include "sim/profile_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct m2c_profile_file {
    struct m2c_optset *set; /* has the strings */
    struct m2c_profile p;
};

/* A file that stands for a part of a profile says nothing about the rest. */
static int load_part(struct m2c_optset **out, const char *path, const char *section,
                     struct m2c_err *err)
{
    int r = m2c_optset_open(out, m2c_profile_table, m2c_profile_rows);
    if (r < 0)
        return m2c_fail(err, r, "%s: out of memory", path);
    r = m2c_optset_load(*out, path, err);
    if (r < 0)
        return r;
    if (m2c_optset_axes(*out))
        return m2c_fail(err, -EINVAL, "%s: a profile has no [sweep]", path);
    for (size_t i = 0; i < m2c_profile_rows; i++) {
        const struct m2c_opt *row = &m2c_profile_table[i];
        bool said = strcmp(m2c_optset_origin(*out, i), "default") != 0 &&
                    strcmp(m2c_optset_text(*out, i), M2C_PROFILE_MISSING) != 0;
        bool wanted = !section || strcmp(row->section, section) == 0;
        if (wanted && !said)
            return m2c_fail(err, -EINVAL, "%s: [%s] %s is missing: %s%s%s%s", path,
                            row->section, row->key, row->help, row->unit ? " (" : "",
                            row->unit ? row->unit : "", row->unit ? ")" : "");
        if (!wanted && said)
            return m2c_fail(err, -EINVAL, "%s: [%s] %s: a file for ssd.profile has [%s] only",
                            m2c_optset_origin(*out, i), row->section, row->key, section);
    }
    return 0;
}

static int replace_ssd(struct m2c_optset *set, const char *path, struct m2c_err *err)
{
    struct m2c_optset *ssd = NULL;
    int r = load_part(&ssd, path, "ssd", err);
    for (size_t i = 0; i < m2c_profile_rows && r == 0; i++) {
        const struct m2c_opt *row = &m2c_profile_table[i];
        if (strcmp(row->section, "ssd") == 0)
            r = m2c_optset_set(set, row->section, row->key, m2c_optset_text(ssd, i),
                               m2c_optset_origin(ssd, i), err);
    }
    m2c_optset_close(ssd);
    return r;
}

static int check_together(const struct m2c_profile *p, const char *path,
                          struct m2c_err *err)
{
    const struct {
        bool bad;
        const char *what;
    } faults[] = {
        {p->gpu.memory == 0, "[gpu] memory is 0"},
        {p->gpu.reserve >= p->gpu.memory, "[gpu] reserve leaves no memory"},
        {p->host.memory == 0, "[host] memory is 0"},
        {p->power.gpu_busy < p->power.gpu_idle, "[power] gpu_busy_w is below gpu_idle_w"},
        {p->power.gpu_copy < p->power.gpu_idle, "[power] gpu_copy_w is below gpu_idle_w"},
        {p->ssd.busy_w < p->ssd.idle_w, "[ssd] busy_w is below idle_w"},
        {p->gpu.kind == M2C_PROFILE_PROCESSOR && p->gpu.gb_s > p->host.gb_s,
         "[gpu] gb_s of a processor is above [host] gb_s, whose memory it reads"},
    };
    for (size_t i = 0; i < M2C_COUNTOF(faults); i++) {
        if (faults[i].bad)
            return m2c_fail(err, -EINVAL, "%s: %s", path, faults[i].what);
    }
    return 0;
}

int m2c_profile_load(struct m2c_profile_file **out, const char *path, const char *ssd,
                     struct m2c_err *err)
{
    struct m2c_profile_file *f = calloc(1, sizeof *f);
    if (!f)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    int r = load_part(&f->set, path, NULL, err);
    if (r == 0 && ssd && ssd[0])
        r = replace_ssd(f->set, ssd, err);
    if (r == 0)
        r = m2c_optset_apply(f->set, &f->p, err);
    if (r == 0)
        r = check_together(&f->p, path, err);
    if (r < 0) {
        m2c_profile_close(f);
        return r;
    }
    *out = f;
    return 0;
}

void m2c_profile_close(struct m2c_profile_file *f)
{
    if (!f)
        return;
    m2c_optset_close(f->set);
    free(f);
}

const struct m2c_profile *m2c_profile_of(const struct m2c_profile_file *f)
{
    return &f->p;
}

double m2c_profile_link(const struct m2c_profile *p)
{
    /* GB/s a lane after line coding: 8b/10b up to generation 2, 128b/130b from 3 on
     * (PCI Express Base Specification); 6 by FLIT at 64 GT/s. */
    static const double lane[] = {0, 0.25, 0.5, 0.985, 1.969, 3.938, 7.563};
    return lane[p->pcie.gen] * (double)p->pcie.lanes * p->pcie.efficiency;
}
