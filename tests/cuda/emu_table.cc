/* SPDX-License-Identifier: MIT */
/* The emulated kernels by name, from the manifest. */
#include "emu.h"

#include "args.h"
#include "manifest.h"

#include <cstring>

#define DECLARE(entry, file, type, args)                                                 \
    extern "C" void m2c_##entry(const m2c_k_##args);                                     \
    static void run_##entry(const void *p)                                               \
    {                                                                                    \
        m2c_##entry(*(const m2c_k_##args *)p);                                           \
    }
M2C_K_MANIFEST(DECLARE)

#define ROW(entry, file, type, args)                                                     \
    {"m2c_" #entry, #file, #type, sizeof(m2c_k_##args), run_##entry},
static const m2c_emu_kernel kernels[] = {M2C_K_MANIFEST(ROW)};

const m2c_emu_kernel *m2c_emu_kernel_at(size_t i)
{
    return i < sizeof(kernels) / sizeof(*kernels) ? &kernels[i] : nullptr;
}

const m2c_emu_kernel *m2c_emu_find(const char *entry)
{
    for (const m2c_emu_kernel &k : kernels)
        if (strcmp(k.entry, entry) == 0)
            return &k;
    return nullptr;
}
