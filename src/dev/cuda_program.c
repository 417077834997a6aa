/* SPDX-License-Identifier: MIT */
/* The kernels' code for the card: built in as cubins, kept in the program
 * cache, or compiled by NVRTC. Invariant: after a success every kernel of the
 * manifest has its function.
 *
 * A module is a file of kernels/cuda and a type; a row of the manifest names
 * both. All are loaded when the device opens, so that no measurement sees a
 * compiler. */
#include "dev/cuda_impl.h"

#include "dev/embed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, OPTIONS = 8, HEADERS = 16, LOG = 8192 };

extern const struct m2c_embed m2c_cuda_sources[], m2c_cuda_cubins[];

static const struct row {
    const char *entry, *file, *type;
} rows[] = {
#define ROW(entry, file, type, args) {"m2c_" #entry, #file ".cu", #type},
    M2C_K_MANIFEST(ROW)
#undef ROW
};

static const char *const fixed_options[] = {M2C_K_OPTIONS};

/* What one compilation needs. */
struct unit {
    const struct row *row;
    const struct m2c_embed *source;
    int n_headers, n_options;
    const char *header[HEADERS], *header_name[HEADERS];
    char type[32], arch[32];
    const char *option[OPTIONS];
};

static const struct m2c_embed *embedded(const struct m2c_embed *list, const char *name)
{
    for (; list->name; list++) {
        if (strcmp(list->name, name) == 0)
            return list;
    }
    return NULL;
}

static bool is_header(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && strcmp(dot, ".h") == 0;
}

static int make_unit(const struct m2c_cuda *c, const struct row *row, struct unit *u,
                     struct m2c_err *err)
{
    *u = (struct unit){.row = row, .source = embedded(m2c_cuda_sources, row->file)};
    if (!u->source)
        return m2c_fail(err, -EIO, "%s is not built in", row->file);
    for (const struct m2c_embed *e = m2c_cuda_sources; e->name; e++) {
        if (is_header(e->name) && u->n_headers < HEADERS) {
            u->header[u->n_headers] = (const char *)e->bytes;
            u->header_name[u->n_headers++] = e->name;
        }
    }
    snprintf(u->type, sizeof u->type, "-DM2C_T=%s", row->type);
    snprintf(u->arch, sizeof u->arch, "--gpu-architecture=%s_%u", c->ptx ? "compute" : "sm",
             c->code_arch);
    for (size_t i = 0; i < M2C_COUNTOF(fixed_options); i++)
        u->option[u->n_options++] = fixed_options[i];
    u->option[u->n_options++] = u->type;
    u->option[u->n_options++] = u->arch;
    return 0;
}

_Static_assert(M2C_COUNTOF(fixed_options) + 2 <= OPTIONS, "options");

/* ---- NVRTC ---- */

static int rtc_check(const struct m2c_nvrtc *rtc, int code, const char *what,
                     struct m2c_err *err)
{
    return code == M2C_NVRTC_OK
               ? 0
               : m2c_fail(err, -EIO, "%s: %s", what, rtc->error_text(code));
}

/* The first line of the log that says "error", with file and line, and how
 * much more there is; a log of warnings is not told. */
static int tell_log(const struct m2c_nvrtc *rtc, m2c_nvrtc_program p, const struct unit *u,
                    int code, struct m2c_err *err)
{
    size_t n = 0;
    char *log = NULL;
    if (rtc->log_size(p, &n) == M2C_NVRTC_OK && n > 1 && (log = malloc(n + 1))) {
        log[0] = log[n] = 0;
        rtc->log(p, log);
    }
    char *at = log ? strstr(log, "error") : NULL;
    while (at && at > log && at[-1] != '\n')
        at--;
    m2c_fail(err, -EIO, "%s for %s does not compile for %s: %s: %.500s", u->row->file,
             u->row->type, u->arch + strlen("--gpu-architecture="), rtc->error_text(code),
             at ? at : log ? log : "there is no log");
    for (char *c = err->msg; *c; c++) /* one line */
        *c = *c == '\n' ? ' ' : *c;
    free(log);
    return -EIO;
}

static int take_code(const struct m2c_nvrtc *rtc, m2c_nvrtc_program p, bool ptx, void **out,
                     size_t *n, struct m2c_err *err)
{
    int r = rtc_check(rtc, (ptx ? rtc->ptx_size : rtc->cubin_size)(p, n),
                      ptx ? "nvrtcGetPTXSize" : "nvrtcGetCUBINSize", err);
    if (r < 0)
        return r;
    if (*n == 0 || !(*out = malloc(*n)))
        return m2c_fail(err, *n ? -ENOMEM : -EIO, "%zu bytes of code", *n);
    r = rtc_check(rtc, (ptx ? rtc->ptx : rtc->cubin)(p, *out),
                  ptx ? "nvrtcGetPTX" : "nvrtcGetCUBIN", err);
    if (r < 0)
        free(*out);
    return r;
}

static int compile(struct m2c_cuda *c, const struct unit *u, void **out, size_t *n,
                   struct m2c_err *err)
{
    const struct m2c_nvrtc *rtc = &c->nvrtc;
    m2c_nvrtc_program p = NULL;
    int r = rtc_check(rtc,
                      rtc->create(&p, (const char *)u->source->bytes, u->row->file,
                                  u->n_headers, u->header, u->header_name),
                      "nvrtcCreateProgram", err);
    if (r < 0)
        return r;
    int code = rtc->compile(p, u->n_options, u->option);
    r = code == M2C_NVRTC_OK ? take_code(rtc, p, c->ptx, out, n, err)
                             : tell_log(rtc, p, u, code, err);
    rtc->destroy(&p);
    return r;
}

/* ---- loading ---- */

static int load(struct m2c_cuda *c, const void *image, m2c_cu_module *out,
                const struct row *row, struct m2c_err *err)
{
    char log[LOG] = "", what[64];
    int option[] = {M2C_CU_JIT_ERROR_LOG, M2C_CU_JIT_ERROR_LOG_BYTES};
    void *value[] = {log, (void *)(uintptr_t)(sizeof log - 1)};
    snprintf(what, sizeof what, "cuModuleLoadData of %s", row->file);
    *out = NULL;
    int r = m2c_cuda_check(&c->cu, c->cu.module_load(out, image, 2, option, value), what, err);
    if (r < 0 && log[0]) {
        struct m2c_err why = *err;
        m2c_fail(err, r, "%.300s: %.400s", why.msg, log);
    }
    return r;
}

/* 1: the module is loaded; 0: there is none built in for this card. */
static int load_built_in(struct m2c_cuda *c, const struct row *row, m2c_cu_module *out,
                         struct m2c_err *err)
{
    char name[96];
    snprintf(name, sizeof name, "sm_%u-%.*s-%s.cubin", c->arch,
             (int)strcspn(row->file, "."), row->file, row->type);
    const struct m2c_embed *e = embedded(m2c_cuda_cubins, name);
    int r = e ? load(c, e->bytes, out, row, err) : 0;
    return r < 0 ? r : e != NULL;
}

static int key_of(const struct m2c_cuda *c, const struct m2c_dev *dev, const struct unit *u,
                  struct m2c_hash128 *key)
{
    char device[192], driver[64], options[512];
    int major = 0, minor = 0;
    size_t n = 0;
    if (c->nvrtc.lib)
        c->nvrtc.version(&major, &minor);
    snprintf(device, sizeof device, "%s, sm_%u", dev->info.name, c->arch);
    snprintf(driver, sizeof driver, "CUDA %d, NVRTC %d.%d", c->driver, major, minor);
    options[0] = 0;
    for (int i = 0; i < u->n_options; i++)
        n += (size_t)snprintf(options + n, sizeof options - n, "%s ", u->option[i]);
    struct m2c_prog_id id = {.backend = "cuda",
                             .device = device,
                             .driver = driver,
                             .options = options,
                             .format = FORMAT};
    id.source[id.n_sources] = u->source->bytes;
    id.source_bytes[id.n_sources++] = u->source->size;
    for (int i = 0; i < u->n_headers; i++) {
        id.source[id.n_sources] = u->header[i];
        id.source_bytes[id.n_sources++] = strlen(u->header[i]);
    }
    return m2c_prog_key(&id, key);
}

/* The cache may hold what the driver does not take (a library that says the
 * version of another): then it is compiled after all. A cache that cannot be
 * written makes the next start slow, and nothing else. */
static int load_compiled(struct m2c_cuda *c, const struct m2c_dev *dev, const struct row *row,
                         m2c_cu_module *out, struct m2c_err *err)
{
    struct unit u;
    struct m2c_hash128 key;
    struct m2c_err ignored = {0};
    void *image = NULL;
    size_t n = 0;
    int r = make_unit(c, row, &u, err);
    r = r < 0 ? r : key_of(c, dev, &u, &key);
    r = r < 0 ? r : m2c_progcache_get(c->cache, key, &image, &n, err);
    if (r < 0)
        return r;
    if (r == 1) {
        r = load(c, image, out, row, &ignored);
        free(image);
        if (r == 0 || r == -ENOMEM)
            return r == 0 ? 0 : m2c_fail(err, r, "%s", ignored.msg);
    }
    r = compile(c, &u, &image, &n, err);
    if (r < 0)
        return r;
    r = load(c, image, out, row, err);
    if (r == 0 && m2c_progcache_put(c->cache, key, image, n, &ignored) == -ENOMEM)
        r = m2c_fail(err, -ENOMEM, "%s", ignored.msg);
    free(image);
    return r;
}

static int load_module(struct m2c_cuda *c, const struct m2c_dev *dev, const struct row *row,
                       struct m2c_err *err)
{
    m2c_cu_module *out = &c->module[c->n_modules];
    int r = load_built_in(c, row, out, err);
    if (r == 0 && !c->nvrtc.lib)
        r = m2c_cuda_open_nvrtc(c, dev->cfg.library, err);
    if (r == 0)
        r = load_compiled(c, dev, row, out, err);
    if (r < 0)
        return r;
    c->n_modules++;
    return 0;
}

int m2c_cuda_load_kernels(struct m2c_cuda *c, const struct m2c_dev *dev,
                          struct m2c_err *err)
{
    _Static_assert(M2C_COUNTOF(rows) == M2C_CUDA_KERNELS, "manifest");
    m2c_cu_module of[M2C_CUDA_KERNELS];
    for (size_t i = 0; i < M2C_COUNTOF(rows); i++) {
        size_t j = 0; /* an earlier row of the same module */
        while (j < i && (strcmp(rows[j].file, rows[i].file) != 0 ||
                         strcmp(rows[j].type, rows[i].type) != 0))
            j++;
        int r = j < i ? 0 : load_module(c, dev, &rows[i], err);
        if (r < 0)
            return r;
        of[i] = j < i ? of[j] : c->module[c->n_modules - 1];
        char what[96];
        snprintf(what, sizeof what, "cuModuleGetFunction of %s", rows[i].entry);
        r = m2c_cuda_check(&c->cu, c->cu.function(&c->kernel[i], of[i], rows[i].entry), what,
                           err);
        if (r < 0)
            return r;
    }
    return 0;
}
