# SPDX-License-Identifier: MIT
"""Damaged, lying and foreign model files: each gives one line that names the
file and the place, and never a crash. Needs nothing but Python itself."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

TOOL = sys.argv[1]
DIM, HIDDEN, LAYERS, HEADS, KV, VOCAB, CTX = 8, 12, 2, 2, 1, 10, 6
KDIM = DIM // HEADS * KV
cases = []  # (path to open, what the message must say, path that it must name)


def case(path, say, names=None):
    cases.append((path, say, names or path))


def matrices():
    return [VOCAB * DIM] + [n for n in (DIM * DIM, KDIM * DIM, KDIM * DIM, DIM * DIM,
                                        HIDDEN * DIM, HIDDEN * DIM, HIDDEN * DIM)
                            for _ in range(LAYERS)]


def llama2c(version, fields=None, group=4, tied=1, magic=0x616b3432):
    f = list(fields or (DIM, HIDDEN, LAYERS, HEADS, KV, VOCAB, CTX))
    norms = (2 * LAYERS + 1) * DIM
    if version == 0:
        rope = CTX * (DIM // HEADS)
        return struct.pack("<7i", *f) + bytes(4 * (sum(matrices()) + norms + rope))
    head = struct.pack("<Ii7iB", magic, version, *f, tied)
    head += struct.pack("<i", group) if version == 2 else b""
    if version == 1:
        body = 4 * (sum(matrices()) + norms)
    else:
        body = 4 * norms + sum(n + n // 4 * 4 for n in matrices())
    return head.ljust(256, b"\0") + bytes(body)


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def llama2c_cases(tmp):
    def new(data, say):
        case(put(os.path.join(tmp, f"m{len(cases)}.bin"), data), say)

    for version in (0, 1, 2):
        whole = llama2c(version)
        new(whole, "ok")
        start = 256 if version else 28
        for n in sorted({start, start + 1, start + 4 * DIM, len(whole) // 2, len(whole) - 4,
                         len(whole) - 1}):
            new(whole[:n], f"ends at byte {n}, but the model of its header has {len(whole)}")
        new(whole + b"\0", f"offset {len(whole)}: the model of the header ends here")
        for n in range(0, start):
            new(whole[:n], "empty" if n == 0 else
                "not a model file that m2c knows" if n < 28 and (version == 0 or n < 4) else
                f"ends at byte {n}, inside the header")
        good = (DIM, HIDDEN, LAYERS, HEADS, KV, VOCAB, CTX)
        at = 8 if version else 0
        for i, name in enumerate(("dim", "hidden", "layers", "heads", "kv heads", "vocab",
                                  "context")):
            for bad in (0, -1, -2**31, 2**31 - 1):
                f = good[:i] + (bad,) + good[i + 1:]
                say = f"offset {at + 4 * i}: {name} is {bad}, expected at least 1"
                if bad == 2**31 - 1:
                    say = "is no multiple of" if i in (0, 3) else f"header at offset {at}: "
                elif name == "vocab" and version == 0 and bad < 0: # a head of its own
                    say = "the model of the header ends here" if bad == -1 else \
                        "header at offset 0: vocab is 2147483648"
                new(llama2c(version, f), say)
        # Each field allowed, the product absurd.
        new(llama2c(version, (2**20, 2**22, 4096, 2, 1, 2**24, 1)), "ends at byte")
        new(llama2c(version, (9, HIDDEN, LAYERS, HEADS, KV, VOCAB, CTX)),
            f"offset {at}: dim 9 is no multiple of 2 heads")
        new(llama2c(version, (DIM, HIDDEN, LAYERS, 4, 3, VOCAB, CTX)),
            "heads (4) is no multiple of kv_heads (3)")
        new(llama2c(version, (DIM, HIDDEN, LAYERS, 8, 1, VOCAB, CTX)), "head_dim is 1")
    for version in (0, 3, -1, 2**31 - 1):
        new(struct.pack("<Ii", 0x616b3432, version) + llama2c(1)[8:],
            f"offset 4: version {version}, expected 1 or 2")
    new(llama2c(1, tied=2), "offset 36: the tied-head flag is 2")
    new(llama2c(1, tied=0), "ends at byte")
    for group in (0, -1, -2**31):
        new(llama2c(2, group=group), f"offset 37: group is {group}, expected at least 1")
    new(llama2c(2, group=7), "offset 37: groups of 7 do not divide the 80 weights of embed")
    new(llama2c(2, group=2**31 - 1), "do not divide")
    new(llama2c(2, group=1), "ends at byte")


def foreign_cases(tmp):
    for name, data, say in [
            ("h5", b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file"),
            ("store", b"m2cstore" + bytes(64), "a model store already"),
            ("pt", b"PK\3\4" + bytes(64), "PyTorch checkpoint"),
            ("gz", b"\x1f\x8b\x08" + bytes(64), "a gzip file"),
            ("st", struct.pack("<Q", 2) + b"{}", "a safetensors file"),
            ("text", b"Once upon a time there was a model. " * 9, "not a model file"),
            ("zeros", bytes(4096), "not a model file"),
            ("ones", b"\xff" * 4096, "not a model file"),
            ("empty", b"", "the file is empty")]:
        case(put(os.path.join(tmp, name), data), say)
    case(os.path.join(tmp, "absent"), "No such file or directory")
    fifo = os.path.join(tmp, "fifo")
    os.mkfifo(fifo)
    case(fifo, "not a regular file")
    case("/dev/zero", "not a regular file")
    os.mkdir(os.path.join(tmp, "hollow"))
    case(os.path.join(tmp, "hollow"), "config.json: No such file")


CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": DIM,
          "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS,
          "num_attention_heads": HEADS, "num_key_value_heads": KV, "vocab_size": VOCAB,
          "max_position_embeddings": CTX, "tie_word_embeddings": False}


def tensors():
    t = {"model.embed_tokens.weight": [VOCAB, DIM], "lm_head.weight": [VOCAB, DIM],
         "model.norm.weight": [DIM]}
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        t.update({p + "input_layernorm.weight": [DIM],
                  p + "post_attention_layernorm.weight": [DIM],
                  p + "self_attn.q_proj.weight": [DIM, DIM],
                  p + "self_attn.k_proj.weight": [KDIM, DIM],
                  p + "self_attn.v_proj.weight": [KDIM, DIM],
                  p + "self_attn.o_proj.weight": [DIM, DIM],
                  p + "mlp.gate_proj.weight": [HIDDEN, DIM],
                  p + "mlp.up_proj.weight": [HIDDEN, DIM],
                  p + "mlp.down_proj.weight": [DIM, HIDDEN]})
    return t


def product(shape):
    n = 1
    for x in shape:
        n *= x
    return n


def header(shapes, dtype="F32", size=4):
    at, h = 0, {}
    for name, shape in shapes.items():
        n = size * product(shape)
        h[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + n]}
        at += n
    return h, at


def safetensors(h, n):
    text = h if isinstance(h, bytes) else json.dumps(h).encode()
    return struct.pack("<Q", len(text)) + text + bytes(n)


class Folders:
    def __init__(self, tmp):
        self.tmp = tmp

    def new(self, config=None, weights=None, **other):
        path = os.path.join(self.tmp, f"hf{len(cases)}")
        os.mkdir(path)
        text = config if isinstance(config, bytes) else \
            json.dumps(CONFIG if config is None else config).encode()
        put(path + "/config.json", text)
        if weights is None:
            weights = safetensors(*header(tensors()))
        if weights:
            put(path + "/model.safetensors", weights)
        for name, data in other.items():
            put(os.path.join(path, name), data)
        return path


def config_cases(folders):
    def new(say, drop=(), **keys):
        config = {k: v for k, v in {**CONFIG, **keys}.items() if k not in drop}
        path = folders.new(config)
        case(path, say, None if say == "ok" else path + "/config.json")

    new("ok")
    new("ok", drop=["architectures"])
    new("ok", drop=["model_type"])
    new("ok", rope_scaling=None, sliding_window=None, attention_bias=False, mlp_bias=None)
    new("ok", rope_scaling={"rope_type": "default", "rope_theta": 1e4}, rope_theta=1e4)
    new("ok", model_type="mistral", architectures=["MistralForCausalLM"],
        sliding_window=CTX)
    new("model_type: this key is missing", drop=["model_type", "architectures"])
    new("model_type: 'qwen2' is not supported: its attention has biases", model_type="qwen2")
    new("model_type: 'gpt2' is not supported (have: llama, mistral)", model_type="gpt2")
    new("model_type: 'a?b' is not", model_type="a\nb")
    new("architectures: 'LlamaForTokenClassification', expected 'LlamaForCausalLM'",
        architectures=["LlamaForTokenClassification"])
    new("attention_bias: true, but biases", attention_bias=True)
    new("mlp_bias: true, but biases", mlp_bias=True)
    new("mlp_bias: expected true or false", mlp_bias=1)
    new("quantization_config: quantised", quantization_config={"bits": 4})
    new("rope_scaling: type 'llama3' is not supported", rope_scaling={
        "rope_type": "llama3", "factor": 8.0})
    new("rope_scaling: type 'linear'", rope_scaling={"type": "linear", "factor": 2.0})
    new("rope_scaling: type '?'", rope_scaling={"type": 3})
    new("rope_scaling: scaled RoPE", rope_scaling={"factor": 2.0})
    new("rope_scaling: expected an object", rope_scaling=[1])
    new("rope_parameters: type 'yarn'", rope_parameters={"rope_type": "yarn"})
    new("rope_parameters: its rope_theta contradicts", rope_theta=1e4, rope_parameters={
        "rope_type": "default", "rope_theta": 5e5})
    new("rope_parameters: partial_rotary_factor", rope_parameters={
        "rope_type": "default", "partial_rotary_factor": 0.5})
    new("partial_rotary_factor: only 1", partial_rotary_factor=0.5)
    new("rope_theta: expected a number", rope_theta="10000")
    new("rope_theta is -1", rope_theta=-1)
    new("sliding_window: 5 tokens, shorter than the context of 6", sliding_window=5)
    new("sliding_window: expected null", sliding_window="6")
    new("sliding_window: 4096 tokens", model_type="mistral", max_position_embeddings=8192,
        architectures=["MistralForCausalLM"])
    new("hidden_act: 'gelu' is the exact (erf) form", hidden_act="gelu")
    new("hidden_act: 'tanh' is not supported", hidden_act="tanh")
    new("hidden_act: expected a name", hidden_act=3)
    for key in ("hidden_size", "intermediate_size", "num_hidden_layers",
                "num_attention_heads", "vocab_size"):
        new(f"{key}: this key is missing", drop=[key])
    for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size",
                "num_attention_heads", "num_key_value_heads", "head_dim",
                "max_position_embeddings"):
        for bad in (0, -1, 1.5, "8", True, [8], 2**31, 2**63 - 1):
            new(f"{key}: expected an integer of at least 1", **{key: bad})
        new("config.json: ", **{key: 2**31 - 1})
    new("num_attention_heads: does not divide hidden_size", num_attention_heads=3,
        num_key_value_heads=3)
    new("rms_norm_eps: expected a number", rms_norm_eps=1e300)
    new("rms_norm_eps: expected a number", rms_norm_eps="tiny")
    new("eos is 10", eos_token_id=10)
    new("eos_token_id: expected a token id", eos_token_id=["a"])
    new("bos_token_id: expected a token id", bos_token_id=-2)
    for text, say in [
            (b"", "line 1, column 0"), (b"{", "line 1, column 1"), (b"[]", "expected a JSON"),
            (b'{"model_type": "llama",\n "model_type": "llama"}', "line 2, column"),
            (b"\xff\xfe{}", "line 1"), (b"{}{}", "line 1"), (b"[" * 5000, "line 1"),
            (b'{"a": 1e999}', "line 1"), (b'{"a": 99999999999999999999}', "line 1"),
            (b'{"a": "\x00"}', "line 1"), (b" " * (4 << 20) + b" ", "at most 4194304")]:
        path = folders.new(text)
        case(path, say, path + "/config.json")


def weight_cases(folders):
    def new(say, weights, **config):
        path = folders.new({**CONFIG, **config}, weights)
        case(path, say, None if say == "ok" else path + "/model.safetensors")

    def edit(say, name=None, extra=0, **keys):
        h, n = header(tensors())
        if name:
            h[name].update(keys)
            h[name] = {k: v for k, v in h[name].items() if v is not None}
        new(say, safetensors(h, n + extra))

    h, n = header(tensors())
    whole = safetensors(h, n)
    data_at = len(whole) - n
    for cut in (1, 7):
        new(f"ends at byte {cut}, inside the header", whole[:cut])
    for cut in (8, 9, data_at // 2, data_at - 1):
        new(f"ends at byte {cut}, inside its header of {data_at - 8}", whole[:cut])
    for cut in (data_at, data_at + 1, data_at + 4 * VOCAB * DIM, len(whole) - 1):
        new(f"but the file has {cut}", whole[:cut])
    edit("the last tensor ends at byte", extra=1)
    for length in (2**64 - 1, 2**63, (8 << 20) + 1):
        new(f"offset 0: header of {length} bytes", struct.pack("<Q", length) + whole[8:])
    new("header: line 1", safetensors(b"{", 0))
    new("header: line 1", safetensors(b"", 0))
    new("header: expected a JSON object", safetensors(b"[]", 0))
    new("header: line 1", safetensors(b'{"a":{},"a":{}}', 0))
    name = "model.layers.1.mlp.up_proj.weight"
    begin, end = h[name]["data_offsets"]
    say = f"tensor '{name}': "
    for key in ("dtype", "shape", "data_offsets"):
        edit(say + "expected dtype, shape and data_offsets", name, **{key: None})
        edit(say + "expected dtype, shape and data_offsets", name, **{key: 7})
    edit(say + "dtype is not one of", name, dtype="F31")
    edit(say + "dtype is not one of", name, dtype="")
    edit(say + "data_offsets do not fit", name, dtype="BF16")
    edit(say + "data_offsets do not fit", name, shape=[HIDDEN, DIM, 0])
    edit(say + "data_offsets do not fit", name, shape=[HIDDEN + 1, DIM])
    edit(say + "shape is not a list of sizes", name, shape=[-1, DIM])
    edit(say + "shape is not a list of sizes", name, shape=[1.0, DIM])
    edit(say + "the product of its shape overflows", name, shape=[2**62, 2])
    edit(say + "the product of its shape overflows", name, shape=[2**63 - 1, 2**63 - 1])
    edit(say + "shape has more than 8", name, shape=[1] * 9)
    for bad in ([begin], [begin, end, end], [end, begin], [-1, end], ["0", end], [0.5, end]):
        edit(say + "data_offsets is not [begin, end]", name, data_offsets=bad)
    edit(f"tensor '{name}' ends at byte", name, data_offsets=[begin, 2**63 - 1])
    edit(f"tensor '{name}' ends at byte", name, data_offsets=[n, n + end - begin])
    edit("overlaps the tensor before it", name, data_offsets=[0, end - begin])
    edit("overlaps the tensor before it", name, data_offsets=[begin - 4, end - 4])
    edit(f"tensor '{name}' has the shape [{DIM}, {HIDDEN}], config.json implies "
         f"[{HIDDEN}, {DIM}]", name, shape=[DIM, HIDDEN])
    edit(f"has the shape [{HIDDEN * DIM}]", name, shape=[HIDDEN * DIM])
    edit("has the shape [2, 4], config.json implies [8]", "model.norm.weight", shape=[2, 4])
    edit(f"tensor '{name}' has the dtype I32, expected F32, F16 or BF16", name, dtype="I32")
    for gone in ("lm_head.weight", "model.norm.weight", name):
        t = tensors()
        del t[gone]
        new(f"no tensor '{gone}'", safetensors(*header(t)))
    t = {**tensors(), "model.layers.0.self_attn.rotary_emb.inv_freq": [2]}
    new("ok", safetensors(*header(t)))
    new("ok", whole, tie_word_embeddings=True)
    for extra in ("model.layers.0.self_attn.q_proj.bias", "model.layers.2.mlp.up_proj.weight",
                  "x\ny", "rotary_emb.inv_freq"):
        t = {**tensors(), extra: [2]}
        new("has no place in a Llama model", safetensors(*header(t)))
    path = folders.new(weights=b"")
    case(path, "no model.safetensors and no index of shards")
    path = folders.new(weights=b"", **{"pytorch_model.bin": b"PK"})
    case(path, "PyTorch's .bin is not read")


def shard_cases(folders):
    names = list(tensors())
    index_name = "model.safetensors.index.json"

    def new(say, where, change=None, drop=None, lose=None):
        shards = [dict(list(tensors().items())[:9]), dict(list(tensors().items())[9:])]
        weight_map = {n: f"model-0000{i + 1}-of-00002.safetensors"
                      for i in (0, 1) for n in shards[i]}
        weight_map.update(change or {})
        if drop:
            del weight_map[drop]
        index = json.dumps({"metadata": {}, "weight_map": weight_map}).encode()
        files = {f"model-0000{i + 1}-of-00002.safetensors": safetensors(*header(shards[i]))
                 for i in (0, 1)}
        if lose:
            del files[lose]
        path = folders.new(weights=b"", **{index_name: index}, **files)
        case(path, say, os.path.join(path, where) if where else None)

    second = "model-00002-of-00002.safetensors"
    new("ok", "")
    new("No such file", second, lose=second)
    new("expected a file name", index_name, {names[0]: 3})
    for bad in ("", "..", "../x.safetensors", "/etc/passwd", "a/b"):
        new("is not the name of a file here", index_name, {names[0]: bad})
    new(f"no tensor '{names[0]}', which", second, {names[0]: second})
    new("no tensor 'ghost', which", second, {"ghost": second})
    new("the shards have", index_name, drop=names[3])
    new("not a regular file", ".", {names[0]: "."})
    for text, say in [(b"{}", "weight_map: expected an object"), (b"nonsense", "line 1"),
                      (b'{"weight_map": []}', "weight_map: expected an object"),
                      (b'{"weight_map": {}}', f"no tensor '{names[0]}'")]:
        path = folders.new(weights=b"", **{index_name: text})
        case(path, say, os.path.join(path, index_name))
    many = {"weight_map": {f"t{i}": f"{i}.safetensors" for i in range(600)}}
    files = {f"{i}.safetensors": safetensors(*header({f"t{i}": [1]})) for i in range(600)}
    path = folders.new(weights=b"", **{index_name: json.dumps(many).encode()}, **files)
    case(path, "weight_map: more than 512 shards", os.path.join(path, index_name))


def main():
    tmp = tempfile.mkdtemp()
    try:
        llama2c_cases(tmp)
        foreign_cases(tmp)
        folders = Folders(tmp)
        config_cases(folders)
        weight_cases(folders)
        shard_cases(folders)
        lines = []
        for i in range(0, len(cases), 200):
            run = subprocess.run([TOOL, "try"] + [c[0] for c in cases[i:i + 200]],
                                 capture_output=True, text=True, errors="replace")
            if run.returncode:
                raise AssertionError(f"exit {run.returncode}: {run.stdout}{run.stderr}")
            lines += run.stdout.splitlines()
        assert len(lines) == len(cases), f"{len(cases)} files gave {len(lines)} lines"
        wrong = 0
        for (path, say, names), line in zip(cases, lines):
            ok = line == "ok" if say == "ok" else say in line and names in line
            if not ok:
                wrong += 1
                print(f"{path}: expected '{say}', {names}\n    got '{line}'")
        print(f"{len(cases)} files, {wrong} wrong answers")
        return wrong > 0
    finally:
        shutil.rmtree(tmp)


sys.exit(main())
