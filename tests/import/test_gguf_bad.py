# SPDX-License-Identifier: MIT
"""GGUF files that are damaged, lie or hold what is not supported: each gives one
line that names the file and the place. Needs nothing but Python itself."""
import os
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "gguf"))
import gguf_file as w  # noqa: E402

TOOL = sys.argv[1]
SHAPE = dict(dim=32, hidden=32, layers=2, heads=2, kv_heads=1)
cases = []  # (bytes, what the message must say)


def model(keys=None, shapes=None, types=None, **whole):
    """A right file but for what is given; None removes a key or a tensor."""
    k = w.llama_keys(ctx=8, **SHAPE)
    k.update(keys or {})
    t = w.llama_shapes(vocab=5, **SHAPE)
    t.update(shapes or {})
    tensors = []
    for name, dims in t.items():
        if dims:
            kind = (types or {}).get(name, "F32")
            tensors.append((name, dims, kind, bytes(w.size(dims, kind))))
    return w.whole(w.encoded({n: v for n, v in k.items() if v}), tensors, **whole)


def case(data, *say):
    cases.append((data, say))


def containers():
    whole = model()
    case(whole, "ok")
    case(model(version=2), "ok")
    case(model(keys={"general.alignment": (w.U32, 64)}, alignment=64), "ok")
    for n in (4, 7, 8, 15, 20, 23):
        case(whole[:n], f"ends at byte {n}, inside the header")
    for n in (24, 31, 40, 60, 100, 300):
        case(whole[:n], f"ends at byte {n}, inside ")
    for n in (1, 4, 4096):
        case(whole[:-n], "tensor 'blk.1.ffn_down.weight' should be bytes")
    case(model(version=1), "offset 4: version 1, expected 2 or 3")
    case(model(version=3 << 24), "offset 4: a big-endian file")
    case(model(n_tensors=2**60), f"offset 8: {2**60} tensors, expected at most")
    case(model(n_kv=2**60), f"offset 16: {2**60} keys, expected at most")
    case(model(n_kv=5000), "offset ")
    head = w.struct.pack("<4sIQQ", b"GGUF", 3, 0, 1)
    case(head + w.struct.pack("<Q", 2**60), f"offset 24: a key of {2**60} bytes")
    case(head + w.struct.pack("<Q", 0), "offset 24: a key of 0 bytes")
    case(head + w.text("k") + w.struct.pack("<I", 13), "offset 33: key 'k' has a value of type 13")
    case(head + w.text("k") + w.struct.pack("<IQ", w.STRING, 2**60), "offset 45: ends at byte 45")
    array = head + w.text("k") + w.struct.pack("<I", w.ARRAY)
    case(array + w.struct.pack("<IQ", w.U32, 2**60), f"a list of {2**60} values, but 0 bytes")
    case(array + w.struct.pack("<IQ", w.STRING, 2**61), f"a list of {2**61} values")
    case(array + w.struct.pack("<IQ", w.ARRAY, 1), "key 'k': a list of lists")
    case(array + w.struct.pack("<IQQ", w.STRING, 1, 9), "inside a list of strings")
    case(w.whole([w.kv("a\0b", w.U32, 1)], []), "a key with a zero byte")
    twice = w.encoded(w.llama_keys(ctx=8, **SHAPE)) + [w.kv("llama.block_count", w.U32, 3)]
    case(w.whole(twice, []), "key 'llama.block_count' is there twice")
    norm = ("output_norm.weight", (32,), "F32", bytes(128))
    case(w.whole(w.encoded(w.llama_keys(ctx=8, **SHAPE)), [norm, norm]),
         "tensor 'output_norm.weight' is there twice")
    for align in (0, 4, 12, 2**31):
        case(model(keys={"general.alignment": (w.U32, align)}), "general.alignment: ")
    case(model(shapes={"x": (1,) * 5}), "tensor 'x' has 5 dimensions")
    case(whole.replace(b"GGUF", b"GGML"), "offset 0: not a GGUF file")


def keys():
    for key, kind in w.llama_keys(ctx=8, **SHAPE).items():
        if key not in ("llama.rope.freq_base", "llama.attention.head_count_kv"):
            case(model(keys={key: None}), f"no key '{key}'")
        case(model(keys={key: (w.BOOL, 1)}), f"{key} is of type bool, expected ")
        if kind[0] == w.U32:
            case(model(keys={key: (w.U32, 0)}), f"{key} is 0, expected at least 1")
            case(model(keys={key: (w.I32, -1)}), f"{key} is negative")
            case(model(keys={key: (w.U64, 2**60)}), f"{key} is {2**60}, expected at most")
    for arch, why in (("qwen2", "biases"), ("falcon", "parallel"), ("mamba", "have: llama")):
        case(model(keys={"general.architecture": (w.STRING, arch)}), f"'{arch}' is not", why)
    for key, value, say in (
            ("llama.attention.head_count_kv", (w.U32, 3), "no multiple"),
            ("llama.attention.head_count", (w.U32, 5), "does not divide"),
            ("llama.block_count", (w.U32, 4096), "llama.block_count is 4096, but there are"),
            ("llama.expert_count", (w.U32, 8), "mixtures of experts"),
            ("llama.rope.scaling.type", (w.STRING, "yarn"), "'yarn': scaled RoPE"),
            ("llama.rope.scaling.factor", (w.F32, 8.0), "scaled RoPE"),
            ("llama.rope.dimension_count", (w.U32, 8), "only whole heads"),
            ("llama.attention.value_length", (w.U32, 8), "only equal ones"),
            ("llama.attention.causal", (w.BOOL, 0), "not supported"),
            ("llama.attention.causal", (w.U8, 0), "is of type u8, expected bool"),
            ("llama.attention.layer_norm_rms_epsilon", (w.F32, 2.0), "expected 0 to 1"),
            ("llama.rope.freq_base", (w.F32, float("nan")), "no finite number"),
            ("llama.rope.freq_base", (w.F32, -1.0), "rope_theta"),
            ("llama.logit_scale", (w.F32, 2.0), "may change the numbers"),
            ("split.count", (w.U16, 3), "part 1 of 3"),
            ("tokenizer.ggml.bos_token_id", (w.U32, 99), "bos is 99")):
        case(model(keys={key: value}), say)
    case(model(keys={"llama.rope.scaling.type": (w.STRING, "none"),
                     "llama.rope.scaling.factor": (w.F32, 8.0)}), "ok")


def tensors():
    for name, dims in w.llama_shapes(vocab=5, **SHAPE).items():
        case(model(shapes={name: None}), f"no tensor '{name}'")
        if name != "token_embd.weight":
            case(model(shapes={name: dims[:-1] + (dims[-1] + 32,)}),
                 f"tensor '{name}' has the shape [")
    case(model(shapes={"output.weight": (32, 6)}), "'output.weight' has the shape [32, 6, 1, 1]")
    case(model(shapes={"output.weight": (32, 5)}), "ok")
    case(model(shapes={"rope_freqs.weight": (8,)}), "scaled RoPE")
    case(model(shapes={"blk.0.attn_rot_embd.weight": (8,)}), "ok")
    for name in ("blk.0.attn_q.bias", "blk.2.attn_q.weight", "x"):
        case(model(shapes={name: (32,)}), f"tensor '{name}' has no place in a Llama model")
    case(model(types={"blk.0.ffn_up.weight": "Q8_0"}), "ok")
    case(model(types={"blk.0.ffn_up.weight": "Q4_K"}), "has rows of 32, expected a multiple of 256")
    case(model(types={"blk.0.ffn_up.weight": "Q2_K"}), "has the type Q2_K, which is not read")
    k = w.encoded(w.llama_keys(ctx=8, **SHAPE))
    body = [(n, d, "F32", bytes(w.size(d, "F32"))) for n, d in
            w.llama_shapes(vocab=5, **SHAPE).items()]
    good = w.whole(k, body)
    entry = w.info("output_norm.weight", (32,), "F32", 640)
    assert good.count(entry) == 1
    for at, say in ((2**63, "should be bytes"), (2**64 - 32, "expected a multiple of 32"),
                    (33, "lies at 33 in the data"), (0, "inside the one of 640 bytes"),
                    (320, "inside the one of 640 bytes")):
        case(good.replace(entry, w.info("output_norm.weight", (32,), "F32", at)), say)
    case(good.replace(entry, w.info("output_norm.weight", (32,), 77, 640)), "the type 77")
    case(good.replace(entry, w.info("output_norm.weight", (2**60,), "F32", 640)), "has the shape")


def main():
    containers()
    keys()
    tensors()
    wrong = 0
    with tempfile.TemporaryDirectory() as tmp:
        paths = []
        for i, (data, _) in enumerate(cases):
            paths.append(os.path.join(tmp, f"{i}.gguf"))
            with open(paths[-1], "wb") as f:
                f.write(data)
        said = subprocess.run([TOOL, "try", *paths], capture_output=True, text=True, check=True)
        lines = said.stdout.splitlines()
        assert len(lines) == len(cases), said.stderr
        for (_, say), line, path in zip(cases, lines, paths):
            if not all(s in line for s in say) or (say != ("ok",) and path not in line):
                print(f"{os.path.basename(path)}: {line}\n    expected {say}")
                wrong += 1
    print(f"{len(cases)} files, {wrong} wrong answers")
    return wrong != 0


sys.exit(main())
