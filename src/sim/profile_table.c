/* SPDX-License-Identifier: MIT */
/* Every key of a profile, with the range outside which no machine lies. */
#include "sim/profile_impl.h"

#include <math.h>

static const char *const missing[] = {M2C_PROFILE_MISSING, NULL};
static const char *const kinds[] = {"card", "processor", M2C_PROFILE_MISSING, NULL};

#define AT(field) .offset = offsetof(struct m2c_profile, field)
#define NUMBER(s, k, field, lo, hi, u, h)                                                 \
    {.section = s, .key = k, .type = M2C_OPT_FLOAT, AT(field),                            \
     .def = M2C_PROFILE_MISSING, .choices = missing, .word_value = NAN, .min = lo,        \
     .max = hi, .unit = u, .help = h, .readers = "sim"}
#define WHOLE(s, k, field, lo, hi, u, h)                                                  \
    {.section = s, .key = k, .type = M2C_OPT_INT, AT(field), .def = M2C_PROFILE_MISSING,  \
     .choices = missing, .word_value = -1, .min = lo, .max = hi, .unit = u, .help = h,    \
     .readers = "sim"}
#define TEXT(s, k, field, h)                                                              \
    {.section = s, .key = k, .type = M2C_OPT_STR, AT(field), .def = "", .help = h,        \
     .readers = "sim"}
/* 0 is refused by m2c_profile_load where a size must be there. */
#define SIZE(s, k, field, h)                                                              \
    {.section = s, .key = k, .type = M2C_OPT_BYTES, AT(field), .def = "0", .max = 1e16,   \
     .unit = "bytes", .help = h, .readers = "sim"}
#define SHARE(k, field, h) NUMBER("achieved", k, achieved.field, 0.001, 1, "share", h)
#define WATTS(s, k, field, h) NUMBER(s, k, field, 0, 10000, "W", h)
#define HOST(k, field, hi, u, h) NUMBER("host", k, host.field, 0, hi, u, h)

const struct m2c_opt m2c_profile_table[] = {
    TEXT("machine", "name", machine.name, "the card and its host, for people"),

    {.section = "gpu", .key = "kind", .type = M2C_OPT_ENUM, AT(gpu.kind),
     .def = M2C_PROFILE_MISSING, .choices = kinds, .readers = "sim",
     .help = "card: memory of its own behind PCIe; processor: computes from host memory"},
    SIZE("gpu", "memory", gpu.memory, "of the device"),
    SIZE("gpu", "reserve", gpu.reserve, "what context and driver take of it"),
    NUMBER("gpu", "gb_s", gpu.gb_s, 1, 100000, "GB/s", "bandwidth of its memory"),
    NUMBER("gpu", "tflops", gpu.tflops, 0.001, 100000, "Tflop/s", "f32, ordinary kernels"),
    NUMBER("gpu", "gemm_tflops", gpu.gemm_tflops, 0.001, 100000, "Tflop/s",
           "products of many rows, by a library"),
    WHOLE("gpu", "gemm_rows", gpu.gemm_rows, 2, 1000000, "rows",
          "from so many on the library is used"),
    NUMBER("gpu", "launch_us", gpu.launch_us, 0, 1000, "us",
           "from one kernel to the next on a queue"),

    SHARE("matmul_f32", matmul[M2C_WIDTH_32], "matrix times row, of bandwidth"),
    SHARE("matmul_16", matmul[M2C_WIDTH_16], "the same at 16 bits"),
    SHARE("matmul_8", matmul[M2C_WIDTH_8], "the same at 8 bits"),
    SHARE("matmul_4", matmul[M2C_WIDTH_4], "the same at 4 bits"),
    SHARE("ffn_f32", ffn[M2C_WIDTH_32], "neurons of the sparse FFN, of bandwidth"),
    SHARE("ffn_16", ffn[M2C_WIDTH_16], "the same at 16 bits"),
    SHARE("ffn_8", ffn[M2C_WIDTH_8], "the same at 8 bits"),
    SHARE("ffn_4", ffn[M2C_WIDTH_4], "the same at 4 bits"),
    SHARE("attention", attention, "of bandwidth, over keys and values"),
    SHARE("other", other, "norms and the like, of bandwidth"),
    SHARE("compute", compute, "of tflops"),
    SHARE("gemm", gemm, "of gemm_tflops"),

    WHOLE("pcie", "gen", pcie.gen, 1, 6, "generation", "of the link"),
    WHOLE("pcie", "lanes", pcie.lanes, 1, 32, "lanes", "of the link"),
    NUMBER("pcie", "efficiency", pcie.efficiency, 0.05, 1, "share",
           "of the link's bit rate that payload gets"),
    NUMBER("pcie", "latency_us", pcie.latency_us, 0, 10000, "us",
           "each copy takes on its engine, before its bytes"),
    WHOLE("pcie", "engines", pcie.engines, 1, 2, "engines",
          "2: both directions at the same time"),
    NUMBER("pcie", "gather_ns", pcie.gather_ns, 0, 1000000, "ns",
           "each piece takes when a kernel brings many"),
    NUMBER("pcie", "gather_share", pcie.gather_share, 0.01, 1, "share",
           "of the link's bandwidth that such a kernel reaches"),

    SIZE("host", "memory", host.memory, "DRAM of the host"),
    NUMBER("host", "gb_s", host.gb_s, 0.1, 10000, "GB/s", "of DRAM, shared by all"),
    NUMBER("host", "pack_gb_s", host.pack_gb_s, 0.1, 1000, "GB/s",
           "bytes that a thread packs"),
    HOST("launch_us", launch_us, 1000, "us", "the call that enqueues a kernel"),
    HOST("copy_us", copy_us, 1000, "us", "the call that enqueues a copy"),
    HOST("event_us", event_us, 1000, "us", "the call that records or awaits an event"),
    HOST("sync_us", sync_us, 1000, "us", "from an event to the thread that waits for it"),
    HOST("score_ns", score_ns, 1e6, "ns", "selection, a neuron scored"),
    HOST("want_ns", want_ns, 1e6, "ns", "tier manager, a neuron wanted"),
    HOST("move_ns", move_ns, 1e6, "ns", "tier manager, a neuron that has to come"),
    HOST("read_us", read_us, 1000, "us", "submitting and reaping a read"),

    TEXT("ssd", "name", ssd.name, "for people"),
    NUMBER("ssd", "gb_s", ssd.gb_s, 0.001, 1000, "GB/s", "sequential reads"),
    NUMBER("ssd", "iops", ssd.iops, 10, 1e9, "reads/s", "random reads of 4 KiB"),
    NUMBER("ssd", "latency_us", ssd.latency_us, 0, 100000, "us",
           "a read takes, without its bytes"),
    WHOLE("ssd", "depth", ssd.depth, 1, 65536, "reads", "taken at once"),
    WATTS("ssd", "idle_w", ssd.idle_w, "when idle"),
    WATTS("ssd", "busy_w", ssd.busy_w, "when reading"),

    WATTS("power", "gpu_idle_w", power.gpu_idle, "the card, idle"),
    WATTS("power", "gpu_busy_w", power.gpu_busy, "the card, computing"),
    WATTS("power", "gpu_copy_w", power.gpu_copy, "the card, copying alone"),
    WATTS("power", "cpu_idle_w", power.cpu_idle, "the processor, idle"),
    WATTS("power", "cpu_busy_w", power.cpu_busy, "one thread, beyond idle"),
    NUMBER("power", "dram_w_per_gib", power.dram_w_per_gib, 0, 100, "W/GiB",
           "of the host's memory"),
};
const size_t m2c_profile_rows = M2C_COUNTOF(m2c_profile_table);
