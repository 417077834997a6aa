/* SPDX-License-Identifier: MIT */
/* The table of config keys. A key that is not here does not exist: what a
 * version cannot do, it refuses by name. */
#include "exp/settings.h"

#include <math.h>

#define AT(field) offsetof(struct m2c_settings, field)

static const char *const auto_word[] = {"auto", NULL};
static const char *const backends[] = {"cpu", "cuda", "opencl", "null", NULL};
static const char *const isas[] = {"auto", "c", "avx2", "avx512", "vector", "team",
                                   NULL};
static const char *const gemms[] = {"auto", "own", NULL};
static const char *const copies[] = {"auto", "each", "gather", "batch", NULL};
static const char *const kv_types[] = {"f32", "f16", NULL};
static const char *const policies[] = {
    "atu",  "lru",     "random",    "fifo", "clock", "sieve",  "lfu",    "lfuda",  "2q",
    "arc",  "s3-fifo", "w-tinylfu", "gdsf", "score", "window", "static", "belady", "min",
    NULL};
static const char *const engines[] = {"libaio", "io_uring", "pread", "mmap", NULL};
static const char *const verify_words[] = {"always", "first", "never", NULL};
static const char *const selectors[] = {"oracle", "prev", "static", "all",
                                        "rrr",    "mlp",  "gate",   NULL};
static const char *const assigns[] = {"rank", "random", "static", NULL};
static const char *const prefills[] = {"dense", "sparse", NULL};
static const char *const systems[] = {"m2cache", "dense-resident", NULL};
static const char *const meters[] = {"auto", "rapl", "model", "none", NULL};

const struct m2c_opt m2c_settings_table[] = {
    {.section = "experiment", .key = "kinds", .type = M2C_OPT_STR,
     .offset = AT(experiment.kinds), .def = "decode,ppl", .readers = "all",
     .help = "experiments to run at every point, into one record, separated by commas"},
    {.section = "experiment", .key = "name", .type = M2C_OPT_STR,
     .offset = AT(experiment.name), .def = "m2c", .readers = "all",
     .help = "title of the report"},
    {.section = "experiment", .key = "seed", .type = M2C_OPT_INT,
     .offset = AT(experiment.seed), .def = "1", .min = 0, .max = 9007199254740992.0,
     .readers = "all", .help = "of prompts, sampling and everything else that is drawn"},
    {.section = "experiment", .key = "repeat", .type = M2C_OPT_INT,
     .offset = AT(experiment.repeat), .def = "1", .min = 1, .max = 10000,
     .readers = "all", .help = "repetitions of each point, each a record of its own"},
    {.section = "experiment", .key = "warmup", .type = M2C_OPT_INT,
     .offset = AT(experiment.warmup), .def = "0", .min = 0, .max = 1000,
     .readers = "decode", .help = "untimed runs before the timed one, in the same engine"},

    {.section = "model", .key = "path", .type = M2C_OPT_STR, .offset = AT(model.path),
     .def = "", .readers = "all", .help = "the model store (*.h5)"},
    {.section = "model", .key = "rank", .type = M2C_OPT_STR, .offset = AT(model.rank),
     .def = "", .readers = "all", .help = "the rank file, for selectors that need one"},

    {.section = "device", .key = "backend", .type = M2C_OPT_NAME,
     .offset = AT(device.backend), .def = "cpu", .choices = backends, .readers = "all",
     .help = "what computes"},
    {.section = "device", .key = "index", .type = M2C_OPT_INT, .offset = AT(device.index),
     .def = "0", .min = 0, .max = 255, .readers = "all",
     .help = "which device of the backend (m2c devices)"},
    {.section = "device", .key = "platform", .type = M2C_OPT_STR,
     .offset = AT(device.platform), .def = "", .readers = "all",
     .help = "opencl: a word of the platform's name or vendor; index then counts its devices "
             "alone"},
    {.section = "device", .key = "threads", .type = M2C_OPT_INT,
     .offset = AT(device.threads), .def = "0", .min = 0, .max = 1024, .readers = "all",
     .help = "cpu: compute threads; opencl: compute units of a processor; 0: as many as the "
             "process may use"},
    {.section = "device", .key = "isa", .type = M2C_OPT_NAME, .offset = AT(device.isa),
     .def = "auto", .choices = isas, .readers = "all",
     .help = "the kernels; cpu: c, avx2, avx512; opencl: vector (for processors), team (GPUs)"},
    {.section = "device", .key = "max_alloc", .type = M2C_OPT_BYTES,
     .offset = AT(device.max_alloc), .def = "0", .unit = "bytes", .readers = "all",
     .help = "opencl: largest allocation to make; 0: what the driver says"},
    {.section = "device", .key = "bytes", .type = M2C_OPT_BYTES,
     .offset = AT(device.bytes), .def = "0", .unit = "bytes", .readers = "all",
     .help = "limit of device memory for everything on it; 0: what there is"},
    {.section = "device", .key = "gemm", .type = M2C_OPT_NAME, .offset = AT(device.gemm),
     .def = "auto", .choices = gemms, .readers = "all",
     .help = "cuda: dense prefill by cuBLAS where there is one (auto), or by own kernels"},
    {.section = "device", .key = "copy", .type = M2C_OPT_NAME, .offset = AT(device.copy),
     .def = "auto", .choices = copies, .readers = "all",
     .help = "cuda: how many small copies travel; auto: as a measurement on the card says"},
    {.section = "device", .key = "library", .type = M2C_OPT_STR,
     .offset = AT(device.library), .def = "", .readers = "all",
     .help = "cuda: a folder where its libraries (libcuda.so.1, libnvrtc.so.*, "
             "libcublas.so.*) are looked for first"},
    {.section = "device", .key = "cache", .type = M2C_OPT_STR, .offset = AT(device.cache),
     .def = "", .readers = "all",
     .help = "folder of compiled kernels; empty: $XDG_CACHE_HOME/m2c or ~/.cache/m2c"},

    {.section = "kv", .key = "dtype", .type = M2C_OPT_NAME, .offset = AT(kv.dtype),
     .def = "f32", .choices = kv_types, .readers = "all", .help = "type of the KV cache"},

    {.section = "hbm", .key = "bytes", .type = M2C_OPT_SIZE, .offset = AT(hbm.bytes),
     .def = "30%", .unit = "bytes or % of the FFN", .readers = "all",
     .help = "device memory of the neuron units; 0: compute straight from DRAM (cpu)"},
    {.section = "hbm", .key = "policy", .type = M2C_OPT_NAME, .offset = AT(hbm.policy),
     .def = "atu", .choices = policies, .readers = "all",
     .help = "who leaves a unit when a neuron has to come in"},

    {.section = "dram", .key = "bytes", .type = M2C_OPT_SIZE, .offset = AT(dram.bytes),
     .def = "200%", .unit = "bytes or % of the FFN", .readers = "all",
     .help = "host memory of the layer blocks"},
    {.section = "dram", .key = "fixed_layers", .type = M2C_OPT_INT,
     .offset = AT(dram.fixed_layers), .def = "auto", .min = 0, .max = 65535,
     .choices = auto_word, .word_value = M2C_FIXED_AUTO, .readers = "all",
     .help = "first layers that stay; auto: what the lookahead leaves over"},

    {.section = "ssd", .key = "engine", .type = M2C_OPT_NAME, .offset = AT(ssd.engine),
     .def = "libaio", .choices = engines, .readers = "all",
     .help = "how the store is read; mmap: through the page cache only (direct = off)"},
    {.section = "ssd", .key = "direct", .type = M2C_OPT_BOOL, .offset = AT(ssd.direct),
     .def = "on", .readers = "all", .help = "O_DIRECT: past the page cache"},
    {.section = "ssd", .key = "queue_depth", .type = M2C_OPT_INT,
     .offset = AT(ssd.queue_depth), .def = "16", .min = 1, .max = 1024,
     .unit = "requests", .readers = "all", .help = "reads in flight"},
    {.section = "ssd", .key = "chunk", .type = M2C_OPT_BYTES, .offset = AT(ssd.chunk),
     .def = "1M", .min = 4096, .max = 1073741824, .unit = "bytes", .readers = "all",
     .help = "largest single read"},
    {.section = "ssd", .key = "lookahead", .type = M2C_OPT_INT,
     .offset = AT(ssd.lookahead), .def = "2", .min = 0, .max = 64, .unit = "layers",
     .readers = "all", .help = "layers asked for ahead of the current one"},
    {.section = "ssd", .key = "verify", .type = M2C_OPT_ENUM, .offset = AT(ssd.verify),
     .def = "first", .choices = verify_words, .readers = "all",
     .help = "when blocks are compared with their checksums"},
    {.section = "ssd", .key = "retries", .type = M2C_OPT_INT, .offset = AT(ssd.retries),
     .def = "2", .min = 0, .max = 100, .readers = "all", .help = "of a read that fails"},

    {.section = "precision", .key = "active", .type = M2C_OPT_FLOAT,
     .offset = AT(precision.active), .def = "auto", .min = 1e-6, .max = 1,
     .choices = auto_word, .word_value = NAN, .unit = "fraction", .readers = "all",
     .help = "neurons computed a token; auto: all that are active (ReLU)"},
    {.section = "precision", .key = "ratio", .type = M2C_OPT_RATIO,
     .offset = AT(precision.ratio), .def = "25:25:50", .readers = "all",
     .help = "of the active neurons, by class, widest first; a share more than there are "
             "classes: left out, the weakest"},
    {.section = "precision", .key = "layers", .type = M2C_OPT_STR,
     .offset = AT(precision.layers), .def = "", .readers = "all",
     .help = "a ratio for each layer, separated by blanks, in place of precision.ratio"},
    {.section = "precision", .key = "assign", .type = M2C_OPT_ENUM,
     .offset = AT(precision.assign), .def = "rank", .choices = assigns, .readers = "all",
     .help = "who gets which class: by rank of the score; controls: at random, anew for "
             "each token; static, each neuron its own by the rank file"},

    {.section = "selector", .key = "kind", .type = M2C_OPT_NAME,
     .offset = AT(selector.kind), .def = "oracle", .choices = selectors,
     .readers = "all", .help = "what chooses the active neurons"},
    {.section = "selector", .key = "lookahead", .type = M2C_OPT_INT,
     .offset = AT(selector.lookahead), .def = "0", .min = 0, .max = M2C_LOOKAHEAD_MAX,
     .unit = "layers", .readers = "all",
     .help = "how many layers ahead rrr, mlp and gate foresee"},

    {.section = "decode", .key = "prompt", .type = M2C_OPT_STR, .offset = AT(decode.prompt),
     .def = "", .readers = "decode", .help = "text; empty: BOS alone"},
    {.section = "decode", .key = "prompt_file", .type = M2C_OPT_STR,
     .offset = AT(decode.prompt_file), .def = "", .readers = "decode",
     .help = "text from which each repetition draws its prompt"},
    {.section = "decode", .key = "prompt_tokens", .type = M2C_OPT_INT,
     .offset = AT(decode.prompt_tokens), .def = "64", .min = 1, .max = 1048576,
     .unit = "tokens", .readers = "decode", .help = "length of a prompt from prompt_file"},
    {.section = "decode", .key = "new_tokens", .type = M2C_OPT_INT,
     .offset = AT(decode.new_tokens), .def = "64", .min = 1, .max = 1048576,
     .unit = "tokens", .readers = "decode", .help = "tokens generated"},
    {.section = "decode", .key = "temperature", .type = M2C_OPT_FLOAT,
     .offset = AT(decode.temperature), .def = "0", .min = 0, .max = 100,
     .readers = "decode", .help = "0: greedy"},
    {.section = "decode", .key = "top_p", .type = M2C_OPT_FLOAT,
     .offset = AT(decode.top_p), .def = "1", .min = 1e-6, .max = 1, .readers = "decode",
     .help = "nucleus sampling; 1: off"},
    {.section = "decode", .key = "ignore_eos", .type = M2C_OPT_BOOL,
     .offset = AT(decode.ignore_eos), .def = "on", .readers = "decode",
     .help = "go on after EOS, so that all points generate as much"},
    {.section = "decode", .key = "ctx", .type = M2C_OPT_INT, .offset = AT(decode.ctx),
     .def = "0", .min = 0, .max = 16777216, .unit = "tokens", .readers = "all",
     .help = "context length; 0: the model's"},
    {.section = "decode", .key = "prefill", .type = M2C_OPT_NAME,
     .offset = AT(decode.prefill), .def = "dense", .choices = prefills,
     .readers = "decode",
     .help = "prompt: all neurons in chunks, or each token as in decode"},
    {.section = "decode", .key = "prefill_rows", .type = M2C_OPT_INT,
     .offset = AT(decode.prefill_rows), .def = "32", .min = 1, .max = 4096,
     .unit = "tokens", .readers = "decode", .help = "tokens a chunk of dense prefill"},
    {.section = "decode", .key = "prefill_class", .type = M2C_OPT_STR,
     .offset = AT(decode.prefill_class), .def = "auto", .readers = "decode",
     .help = "class of dense prefill; auto: the widest that the ratio uses"},

    {.section = "text", .key = "file", .type = M2C_OPT_STR, .offset = AT(text.file),
     .def = "", .readers = "ppl", .help = "text to score"},
    {.section = "text", .key = "split", .type = M2C_OPT_STR, .offset = AT(text.split),
     .def = "", .readers = "ppl", .help = "separator at which scoring starts afresh"},
    {.section = "text", .key = "tokens", .type = M2C_OPT_INT, .offset = AT(text.tokens),
     .def = "0", .min = 0, .max = 1e15, .unit = "tokens", .readers = "ppl",
     .help = "score at most so many; 0: all"},
    {.section = "text", .key = "kl", .type = M2C_OPT_BOOL, .offset = AT(text.kl),
     .def = "on", .readers = "ppl", .help = "KL divergence and agreement against dense"},

    {.section = "tasks", .key = "files", .type = M2C_OPT_STR, .offset = AT(tasks.files),
     .def = "", .readers = "tasks",
     .help = "questions, as m2c eval takes them; several separated by commas"},
    {.section = "tasks", .key = "limit", .type = M2C_OPT_INT, .offset = AT(tasks.limit),
     .def = "0", .min = 0, .max = 1e9, .unit = "questions", .readers = "tasks",
     .help = "only the first so many of each file; 0: all"},

    {.section = "ratio", .key = "text", .type = M2C_OPT_STR, .offset = AT(ratio.text),
     .def = "", .readers = "ratio",
     .help = "text on which ratios are searched; text.split splits it"},
    {.section = "ratio", .key = "tokens", .type = M2C_OPT_INT, .offset = AT(ratio.tokens),
     .def = "400", .min = 1, .max = 1e9, .unit = "tokens", .readers = "ratio",
     .help = "of it, scored for KL"},
    {.section = "ratio", .key = "prompts", .type = M2C_OPT_INT, .offset = AT(ratio.prompts),
     .def = "4", .min = 1, .max = 10000, .readers = "ratio",
     .help = "texts of decode.new_tokens that are generated for an UQEst, each after "
             "decode.prompt_tokens of a document"},
    {.section = "ratio", .key = "step", .type = M2C_OPT_FLOAT, .offset = AT(ratio.step),
     .def = "0.05", .min = 1e-3, .max = 1, .readers = "ratio",
     .help = "s of Algorithm 1: share of high precision added at a step"},
    {.section = "ratio", .key = "start", .type = M2C_OPT_FLOAT, .offset = AT(ratio.start),
     .def = "1", .min = 0, .max = 8, .readers = "ratio",
     .help = "r_low at first: all plans have the memory of so large a share at low precision"},
    {.section = "ratio", .key = "grid", .type = M2C_OPT_INT, .offset = AT(ratio.grid),
     .def = "8", .min = 1, .max = 32, .readers = "ratio",
     .help = "parts into which the search by KL cuts a layer's active neurons"},
    {.section = "ratio", .key = "bytes", .type = M2C_OPT_BYTES, .offset = AT(ratio.bytes),
     .def = "0", .unit = "bytes a token", .readers = "ratio",
     .help = "budget of the search by KL; 0: what Algorithm 1's choice reads"},

    {.section = "baseline", .key = "system", .type = M2C_OPT_ENUM,
     .offset = AT(baseline.system), .def = "m2cache", .choices = systems,
     .readers = "all",
     .help = "m2cache, or dense-resident: every neuron at the widest class, all on the "
             "device (sets selector, precision, hbm and dram)"},

    {.section = "meter", .key = "sources", .type = M2C_OPT_NAME,
     .offset = AT(meter.sources), .def = "auto", .choices = meters, .readers = "decode",
     .help = "of energy; auto: rapl where it can be read, else the model"},
    {.section = "meter", .key = "cpu_busy_w", .type = M2C_OPT_FLOAT,
     .offset = AT(meter.cpu_busy_w), .def = "10", .min = 0, .max = 10000,
     .unit = "W a busy core", .readers = "decode", .help = "of the energy model"},
    {.section = "meter", .key = "cpu_idle_w", .type = M2C_OPT_FLOAT,
     .offset = AT(meter.cpu_idle_w), .def = "0", .min = 0, .max = 10000, .unit = "W",
     .readers = "decode", .help = "of the energy model, whole package"},
    {.section = "carbon", .key = "g_per_kwh", .type = M2C_OPT_FLOAT,
     .offset = AT(carbon.g_per_kwh), .def = "820", .min = 0, .max = 10000,
     .unit = "gCO2/kWh", .readers = "decode",
     .help = "of the grid; default as in the paper (arXiv 2410.14740, Eq. 1)"},
    {.section = "carbon", .key = "dram_w_per_gib", .type = M2C_OPT_FLOAT,
     .offset = AT(carbon.dram_w_per_gib), .def = "0.1015625", .min = 0, .max = 1000,
     .unit = "W/GiB", .readers = "decode",
     .help = "of the energy model; default the paper's 26 W for 256 GB"},
    {.section = "carbon", .key = "ssd_w", .type = M2C_OPT_FLOAT, .offset = AT(carbon.ssd_w),
     .def = "2", .min = 0, .max = 1000, .unit = "W", .readers = "decode",
     .help = "of the energy model; default the paper's"},
    {.section = "carbon", .key = "ssd_j_per_gb", .type = M2C_OPT_FLOAT,
     .offset = AT(carbon.ssd_j_per_gb), .def = "0", .min = 0, .max = 1000,
     .unit = "J/GB", .readers = "decode", .help = "of the energy model, for bytes read"},

    {.section = "output", .key = "dir", .type = M2C_OPT_STR, .offset = AT(output.dir),
     .def = "", .readers = "all", .help = "results folder (-o)"},
};

const size_t m2c_settings_rows = M2C_COUNTOF(m2c_settings_table);
