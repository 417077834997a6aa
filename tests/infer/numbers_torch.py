# SPDX-License-Identifier: MIT
"""A random small Llama (GQA, untied head, bf16, two shards) saved by transformers: logits of m2c
within 1e-4 of torch's in float32; and with every neuron at i8 or i4, within 1e-4 of torch with
the FFN weights dequantised from the store by numpy. Skips (77) without the modules."""
import subprocess
import sys
import tempfile
import os

if "M2C_PYTHON" in os.environ and os.environ.get("M2C_REEXEC") is None:
    os.environ["M2C_REEXEC"] = "1"
    os.execv(os.environ["M2C_PYTHON"], [os.environ["M2C_PYTHON"], *sys.argv])
try:
    import h5py
    import numpy as np
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)

m2c, dump = sys.argv[1:3]
DIM, HIDDEN, LAYERS, GROUP = 100, 132, 3, 32
torch.manual_seed(7)
torch.set_num_threads(1)
config = LlamaConfig(vocab_size=211, hidden_size=DIM, intermediate_size=HIDDEN,
                     num_hidden_layers=LAYERS, num_attention_heads=5, num_key_value_heads=1,
                     head_dim=20, max_position_embeddings=64, tie_word_embeddings=False,
                     rope_theta=10000.0, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
model = LlamaForCausalLM(config).to(torch.bfloat16)
with torch.no_grad():
    for p in model.parameters():
        p.copy_((torch.randn(p.shape) * (0.5 / p.shape[-1] ** 0.5 if p.dim() > 1 else 0.1)
                 + (0 if p.dim() > 1 else 1)).to(torch.bfloat16))
ids = torch.randint(0, 211, (20,))


def dequantise(raw, bits, n):
    """Codes and scales of one vector of n, as quant/codec.h states them."""
    groups = -(-n // GROUP)
    size = n if bits == 8 else (n + 1) // 2
    codes, scales = raw[:size], raw[size:size + 2 * groups].copy().view(np.float16)
    if bits == 8:
        q = codes.view(np.int8).astype(np.float32)
    else:
        low, high = codes & 15, codes >> 4
        q = np.stack([low, high], 1).reshape(-1)[:n].astype(np.int8)
        q = np.where(q > 7, q - 16, q).astype(np.float32)
    return q * np.repeat(scales.astype(np.float32), GROUP)[:n], size + 2 * groups


with tempfile.TemporaryDirectory() as tmp:
    model.save_pretrained(f"{tmp}/hf", max_shard_size="200KB")
    shards = [f for f in os.listdir(f"{tmp}/hf") if f.endswith(".safetensors")]
    assert len(shards) >= 2, shards
    subprocess.run([m2c, "import", f"{tmp}/hf", f"{tmp}/m.h5"], check=True, capture_output=True)
    # loaded afresh: .to(bfloat16) above has rounded the RoPE frequencies of `model`
    reference = LlamaForCausalLM.from_pretrained(f"{tmp}/hf", dtype=torch.float32)
    for name, bits in (("f16", 16), ("i8", 8), ("i4", 4)):
        if bits < 16:
            with h5py.File(f"{tmp}/m.h5") as f, torch.no_grad():
                for l in range(LAYERS):
                    mlp = reference.model.layers[l].mlp
                    rows = np.asarray(f[f"ffn/{l}/{name}"]).reshape(HIDDEN, -1)
                    for i, raw in enumerate(rows):
                        at = 0
                        for w in (mlp.gate_proj.weight[i], mlp.up_proj.weight[i],
                                  mlp.down_proj.weight[:, i]):
                            v, used = dequantise(raw[at:], bits, DIM)
                            w.copy_(torch.from_numpy(v))
                            at += used
                        assert at == len(raw)
        with torch.no_grad():
            want = reference(ids[None]).logits[0].numpy()
        out = subprocess.run([dump, f"{tmp}/m.h5", name, *map(str, ids.tolist())], check=True,
                             capture_output=True).stdout
        got = np.frombuffer(out, np.float32).reshape(want.shape)
        worst = np.abs(got - want).max()
        print(f"{name}: largest difference of logits {worst:.2e} (logits to {np.abs(want).max():.1f})")
        if not worst <= 1e-4:
            sys.exit(f"{name}: logits differ")
