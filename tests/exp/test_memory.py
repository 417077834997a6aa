# SPDX-License-Identifier: MIT
"""I3: the resident set stays below the budgets and a stated constant. A model whose FFN is ten times
the DRAM budget generates inside a memory cgroup of just that size; and in one of the size of the
model's FFN, it would not have been noticed. Needs root, a memory cgroup and
a build without the address sanitizer; else skips (77)."""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

m2c = sys.argv[1]
CONSTANT = 64 << 20     # program, libraries, thread stacks, store index: README and ARCHITECTURE name it
DIM, HIDDEN, LAYERS, VOCAB = 512, 4096, 12, 256


def make_cgroup(limit):
    for root, key in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                      ("/sys/fs/cgroup", "memory.max")):
        path = f"{root}/m2c-test-{os.getpid()}"
        try:
            os.mkdir(path)
        except OSError:
            continue
        try:
            with open(f"{path}/{key}", "w") as f:
                f.write(str(limit))
            for swap, value in (("memory.swap.max", "0"), ("memory.swappiness", "0")):
                if os.path.exists(f"{path}/{swap}"):
                    with open(f"{path}/{swap}", "w") as f:
                        f.write(value)
            return path
        except OSError:
            os.rmdir(path)
    return None


def write_model(folder):
    """A Llama with random f16 weights of ±2^-6 … 2^-5, without numpy."""
    os.mkdir(folder)
    with open(f"{folder}/config.json", "w") as f:
        json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
                   "hidden_act": "relu", "hidden_size": DIM, "intermediate_size": HIDDEN,
                   "num_hidden_layers": LAYERS, "num_attention_heads": 8,
                   "num_key_value_heads": 2, "vocab_size": VOCAB, "rms_norm_eps": 1e-5,
                   "max_position_embeddings": 128, "tie_word_embeddings": True,
                   "bos_token_id": 0, "eos_token_id": 1, "rope_theta": 10000.0}, f)
    shapes = {"model.embed_tokens.weight": (VOCAB, DIM), "model.norm.weight": (DIM,)}
    for l in range(LAYERS):
        p = f"model.layers.{l}."
        for name, shape in (("self_attn.q_proj", (DIM, DIM)), ("self_attn.k_proj", (DIM // 4, DIM)),
                            ("self_attn.v_proj", (DIM // 4, DIM)), ("self_attn.o_proj", (DIM, DIM)),
                            ("mlp.gate_proj", (HIDDEN, DIM)), ("mlp.up_proj", (HIDDEN, DIM)),
                            ("mlp.down_proj", (DIM, HIDDEN)), ("input_layernorm", (DIM,)),
                            ("post_attention_layernorm", (DIM,))):
            shapes[p + name + ".weight"] = shape
    header, at = {}, 0
    for name, shape in shapes.items():
        n = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    rng = random.Random(3)
    block = bytearray(rng.randbytes(1 << 20))
    for i in range(1, len(block), 2):
        block[i] = (block[i] & 0x83) | 0x24
    with open(f"{folder}/model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        left = at
        while left:
            n = min(left, len(block))
            f.write(block[:n])
            left -= n


def run(args, cgroup=None):
    def enter():
        with open(f"{cgroup}/cgroup.procs", "w") as f:
            f.write(str(os.getpid()))
    return subprocess.run([m2c, *args], capture_output=True, text=True,
                          preexec_fn=enter if cgroup else None)


if "address" in os.environ.get("M2C_SANITIZE", ""):
    print("skipped: the address sanitizer's own memory is in the resident set")
    sys.exit(77)
with tempfile.TemporaryDirectory(dir=os.environ["M2C_BUILD"]) as tmp:
    probe = make_cgroup(1 << 30)
    if not probe:
        print("skipped: no memory cgroup can be made here")
        sys.exit(77)
    os.rmdir(probe)
    write_model(f"{tmp}/hf")
    p = run(["import", f"{tmp}/hf", f"{tmp}/m.h5"])
    assert p.returncode == 0, p.stderr
    ffn = 2 * 3 * DIM * HIDDEN * LAYERS
    settings = ["selector.kind=all", "precision.active=1", "precision.ratio=1:0:0",
                "hbm.bytes=5%", "dram.bytes=17%", "ssd.lookahead=1", "ssd.engine=libaio",
                "ssd.direct=on", "text.kl=off"]
    flags = [f for s in settings for f in ("--set", s)]
    plan = json.loads(run(["plan", f"{tmp}/m.h5", "--json", *flags]).stdout)
    budget = plan["device_bytes"] + plan["dram_bytes"]
    limit = budget + CONSTANT
    assert limit < 0.9 * ffn, (limit, ffn)
    with open(f"{tmp}/text", "w") as f:
        f.write("a")
    # no tokenizer: decode through m2c-exp, whose records hold the peak
    with open(f"{tmp}/c.ini", "w") as f:
        f.write("[experiment]\nkinds = decode\n[decode]\nnew_tokens = 12\n"
                f"[model]\npath = {tmp}/m.h5\n")
    m2c = os.path.join(os.path.dirname(m2c), "m2c-exp")
    cgroup = make_cgroup(limit)
    try:
        p = run([f"{tmp}/c.ini", "-o", f"{tmp}/out", *flags], cgroup)
    finally:
        os.rmdir(cgroup)
    if "libaio" in p.stderr:
        print("skipped: this build lacks libaio")
        sys.exit(77)
    assert p.returncode == 0, (p.returncode, p.stdout, p.stderr)
    with open(f"{tmp}/out/results.jsonl") as f:
        figures = json.loads(f.read())["figures"]
    peak = figures["rss_peak"]["value"]
    print(f"budgets {budget >> 20} MiB + constant {CONSTANT >> 20} MiB; RSS peak {peak / 2**20:.1f} "
          f"MiB; FFN {ffn >> 20} MiB; {figures['ssd_bytes_moved']['value'] / 2**20:.0f} MiB a token")
    if not peak <= limit:
        sys.exit("the resident set exceeds budgets and constant")
    if not figures["device_bytes_peak"]["value"] <= plan["device_bytes"]:
        sys.exit("device memory exceeds its plan")
