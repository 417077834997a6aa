# SPDX-License-Identifier: MIT
"""llama.cpp's own library as an oracle: the one that wheels of xllamacpp hold,
called as C (llama.h of build b11549; other versions have other structs, so the
defaults are looked at first). llama-cpp-python would have to be compiled."""
import ctypes as c
import importlib.util
import os

P, F, I, U, B = c.c_void_p, c.c_float, c.c_int32, c.c_uint32, c.c_bool


class ModelParams(c.Structure):
    _fields_ = [("devices", P), ("overrides", P), ("n_gpu_layers", I), ("split_mode", I),
                ("load_mode", I), ("lazy_mode", I), ("main_gpu", I), ("tensor_split", P),
                ("progress", P), ("progress_data", P), ("kv_overrides", P),
                ("vocab_only", B), ("check_tensors", B), ("use_extra_bufts", B),
                ("no_host", B), ("no_alloc", B), ("load_mtp", B)]


class ContextParams(c.Structure):
    _fields_ = [("n_ctx", U), ("n_batch", U), ("n_ubatch", U), ("n_seq_max", U),
                ("n_rs_seq", U), ("n_outputs_max", U), ("n_outputs_max_per_seq", U),
                ("n_threads", I), ("n_threads_batch", I), ("ctx_type", I),
                ("rope_scaling_type", I), ("pooling_type", I), ("attention_type", I),
                ("flash_attn_type", I), ("rope_freq_base", F), ("rope_freq_scale", F),
                ("yarn", F * 4), ("yarn_orig_ctx", U), ("defrag_thold", F), ("cb_eval", P),
                ("cb_eval_data", P), ("type_k", I), ("type_v", I), ("moe_cache_size", c.c_size_t),
                ("abort_callback", P), ("abort_data", P), ("embeddings", B),
                ("offload_kqv", B), ("no_perf", B), ("op_offload", B), ("swa_full", B),
                ("kv_unified", B), ("samplers", P), ("n_samplers", c.c_size_t), ("other", P)]


class Batch(c.Structure):
    _fields_ = [("n_tokens", I), ("token", c.POINTER(I)), ("embd", P), ("pos", c.POINTER(I)),
                ("n_seq_id", c.POINTER(I)), ("seq_id", c.POINTER(c.POINTER(I))),
                ("logits", c.POINTER(c.c_int8))]


SIGNATURES = {
    "llama_log_set": (None, [P, P]), "llama_backend_init": (None, []),
    "llama_model_default_params": (ModelParams, []),
    "llama_context_default_params": (ContextParams, []),
    "llama_model_load_from_file": (P, [c.c_char_p, ModelParams]),
    "llama_model_get_vocab": (P, [P]), "llama_vocab_n_tokens": (I, [P]),
    "llama_init_from_model": (P, [P, ContextParams]), "llama_free": (None, [P]),
    "llama_model_free": (None, [P]), "llama_get_memory": (P, [P]),
    "llama_memory_clear": (None, [P, B]), "llama_batch_init": (Batch, [I, I, I]),
    "llama_batch_free": (None, [Batch]), "llama_decode": (I, [P, Batch]),
    "llama_get_logits": (c.POINTER(F), [P]),
    "llama_tokenize": (I, [P, c.c_char_p, I, c.POINTER(I), I, B, B])}
LOG = c.CFUNCTYPE(None, c.c_int, c.c_char_p, P)
SILENT = LOG(lambda level, text, data: None)


def library():
    """None where the package is missing."""
    spec = importlib.util.find_spec("xllamacpp")
    for folder in spec.submodule_search_locations if spec else []:
        path = os.path.join(folder, "xllamacpp.abi3.so")
        if os.path.exists(path):
            lib = c.CDLL(path)
            for name, (result, arguments) in SIGNATURES.items():
                f = getattr(lib, name)
                f.restype, f.argtypes = result, arguments
            lib.llama_log_set(c.cast(SILENT, P), None)
            m, x = lib.llama_model_default_params(), lib.llama_context_default_params()
            assert (m.split_mode, m.vocab_only, m.use_extra_bufts) == (1, False, True) and \
                (x.n_ctx, x.n_batch, x.n_ubatch, x.flash_attn_type, x.type_k, x.type_v,
                 x.offload_kqv, x.n_samplers) == (512, 2048, 512, -1, 1, 1, True, 0), \
                "this xllamacpp has another llama.h: see tests/token/llamacpp.py"
            lib.llama_backend_init()
            return lib
    return None


class Model:
    """A GGUF file; with vocab_only there is nothing but a tokenizer."""

    def __init__(self, path, vocab_only=False, ctx=512, threads=2):
        self.lib = lib = library()
        params = lib.llama_model_default_params()
        params.vocab_only = vocab_only
        params.n_gpu_layers = 0
        params.use_extra_bufts = False  # weights as they are in the file, not repacked
        self.model = lib.llama_model_load_from_file(path.encode(), params)
        assert self.model, f"llama.cpp does not load {path}"
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)
        self.ctx = None
        if not vocab_only:
            params = lib.llama_context_default_params()
            params.n_ctx = params.n_batch = params.n_ubatch = ctx
            params.n_threads = params.n_threads_batch = threads
            params.type_k = params.type_v = 0  # f32
            params.flash_attn_type = 0         # off
            self.ctx = lib.llama_init_from_model(self.model, params)
            assert self.ctx

    def close(self):
        if self.ctx:
            self.lib.llama_free(self.ctx)
        self.lib.llama_model_free(self.model)

    def tokenize(self, text, special=False):
        data = text if isinstance(text, bytes) else text.encode()
        out = (I * (len(data) + 16))()
        n = self.lib.llama_tokenize(self.vocab, data, len(data), out, len(out), False, special)
        assert n >= 0
        return out[:n]

    def logits(self, tokens):
        """f32[len(tokens)][vocab] after each token of a new sequence."""
        import numpy as np
        n = len(tokens)
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.ctx), True)
        batch = self.lib.llama_batch_init(n, 0, 1)
        batch.n_tokens = n
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i] = token, i
            batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, 1
        assert self.lib.llama_decode(self.ctx, batch) == 0
        rows = np.ctypeslib.as_array(self.lib.llama_get_logits(self.ctx), (n, self.n_vocab))
        out = rows.copy()
        self.lib.llama_batch_free(batch)
        return out
