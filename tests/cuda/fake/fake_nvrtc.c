/* SPDX-License-Identifier: MIT */
/* The fake NVRTC: "compiles" a module of the manifest into its name, after it
 * has seen that it was given what the real one needs. */
#define _GNU_SOURCE
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct _nvrtcProgram {
    char *source, name[64], code[160], log[256];
    int n_headers;
    const char **names; /* copies */
};

const char *nvrtcGetErrorString(int code)
{
    return code == M2C_NVRTC_OK            ? "NVRTC_SUCCESS"
           : code == M2C_NVRTC_COMPILATION ? "NVRTC_ERROR_COMPILATION"
                                           : "NVRTC_ERROR_INTERNAL_ERROR";
}

int nvrtcVersion(int *major, int *minor)
{
    *major = 12;
    *minor = 4;
    return fake_call("nvrtcVersion", 11);
}

int nvrtcGetNumSupportedArchs(int *n)
{
    *n = 3;
    return fake_call("nvrtcGetNumSupportedArchs", 11);
}

int nvrtcGetSupportedArchs(int *out)
{
    out[0] = 52;
    out[1] = 70;
    out[2] = 86;
    return fake_call("nvrtcGetSupportedArchs", 11);
}

int nvrtcCreateProgram(m2c_nvrtc_program *out, const char *source, const char *name, int n,
                       const char *const *headers, const char *const *names)
{
    int r = fake_call("nvrtcCreateProgram", 1);
    struct _nvrtcProgram *p = r ? NULL : calloc(1, sizeof *p);
    if (!p)
        return r ? r : 1;
    for (int i = 0; i < n; i++) {
        if (!headers[i][0] || strchr(names[i], '/'))
            fake_fault("nvrtcCreateProgram: header %s", names[i]);
    }
    p->source = strdup(source);
    p->names = calloc((size_t)n + 1, sizeof *p->names);
    for (int i = 0; i < n && p->names; i++)
        p->names[i] = strdup(names[i]);
    p->n_headers = n;
    snprintf(p->name, sizeof p->name, "%s", name);
    *out = p;
    return p->source && p->names ? 0 : 1;
}

int nvrtcDestroyProgram(m2c_nvrtc_program *p)
{
    for (int i = 0; i < (*p)->n_headers; i++)
        free((void *)(uintptr_t)(*p)->names[i]);
    free((*p)->names);
    free((*p)->source);
    free(*p);
    *p = NULL;
    return 0;
}

/* Every #include "x.h" has its header. */
static const char *missing_header(const struct _nvrtcProgram *p)
{
    static _Thread_local char name[64];
    for (const char *at = p->source; (at = strstr(at, "#include \"")); at++) {
        bool found = false;
        if (sscanf(at, "#include \"%63[^\"]", name) != 1)
            continue;
        for (int i = 0; i < p->n_headers; i++)
            found |= strcmp(p->names[i], name) == 0;
        if (!found)
            return name;
    }
    return NULL;
}

int nvrtcCompileProgram(m2c_nvrtc_program p, int n, const char *const *options)
{
    int r = fake_call("nvrtcCompileProgram", M2C_NVRTC_COMPILATION), arch = 0;
    char type[32] = "", kind[16] = "";
    for (int i = 0; i < n; i++) {
        sscanf(options[i], "-DM2C_T=%31s", type);
        if (sscanf(options[i], "--gpu-architecture=%15[a-z]_%d", kind, &arch) == 2)
            continue;
    }
    if (!type[0] || !arch || missing_header(p))
        fake_fault("nvrtcCompileProgram of %s: type '%s', architecture %d, header %s", p->name,
                   type, arch, missing_header(p) ? missing_header(p) : "there");
    if (strcmp(p->name, fake_broken()) == 0) {
        snprintf(p->log, sizeof p->log,
                 "%s(7): warning #1-D: something\n%s(12): error: identifier \"x\" is "
                 "undefined\n1 error detected\n",
                 p->name, p->name);
        return M2C_NVRTC_COMPILATION;
    }
    /* Of PTX a driver makes code for the card that it has. */
    snprintf(p->code, sizeof p->code, "M2CFAKE sm_%d %s %s",
             strcmp(kind, "compute") == 0 ? fake_arch() : arch, p->name, type);
    return r;
}

int nvrtcGetProgramLogSize(m2c_nvrtc_program p, size_t *n)
{
    *n = strlen(p->log) + 1;
    return fake_call("nvrtcGetProgramLogSize", 11);
}

int nvrtcGetProgramLog(m2c_nvrtc_program p, char *out)
{
    strcpy(out, p->log);
    return fake_call("nvrtcGetProgramLog", 11);
}

static int code_size(m2c_nvrtc_program p, size_t *n)
{
    *n = strlen(p->code) + 1;
    return fake_call("nvrtcGetCUBINSize", 11);
}

static int code(m2c_nvrtc_program p, char *out)
{
    strcpy(out, p->code);
    return fake_call("nvrtcGetCUBIN", 11);
}

int nvrtcGetCUBINSize(m2c_nvrtc_program p, size_t *n) { return code_size(p, n); }
int nvrtcGetCUBIN(m2c_nvrtc_program p, char *out) { return code(p, out); }
int nvrtcGetPTXSize(m2c_nvrtc_program p, size_t *n) { return code_size(p, n); }
int nvrtcGetPTX(m2c_nvrtc_program p, char *out) { return code(p, out); }
