# SPDX-License-Identifier: MIT
"""Folders saved by transformers, against the tensors that it saved."""
import glob
import json
import os
import sys
import tempfile

import dump as d

d.need("numpy", "torch", "transformers", "safetensors")
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

TOOL = sys.argv[1]
NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
         "wq": "self_attn.q_proj", "wk": "self_attn.k_proj", "wv": "self_attn.v_proj",
         "wo": "self_attn.o_proj", "gate": "mlp.gate_proj", "up": "mlp.up_proj",
         "down": "mlp.down_proj"}
TYPES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "f32"}
SIZES = {"hidden_size": 96, "intermediate_size": 200, "num_hidden_layers": 3,
         "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 320,
         "max_position_embeddings": 128}


def check_model(folder, model, dtype, path=None):
    """Every tensor of the live model, and nothing else."""
    cfg, tensors = d.dump(TOOL, path or folder, folder + ".out")
    state = {k: v.to(torch.float32).numpy() for k, v in model.state_dict().items()}
    typ = TYPES[dtype]
    d.check(tensors, "embed", 0, state["model.embed_tokens.weight"], typ)
    d.check(tensors, "final_norm", 0, state["model.norm.weight"], typ)
    if not model.config.tie_word_embeddings:
        d.check(tensors, "head", 0, state["lm_head.weight"], typ)
    for layer in range(model.config.num_hidden_layers):
        for kind, name in NAMES.items():
            d.check(tensors, kind, layer, state[f"model.layers.{layer}.{name}.weight"], typ)
    assert not tensors, f"not expected: {sorted(tensors)}"
    d.expect(cfg, format="hf", arch="llama", rope="half", has_gate=1, experts=1,
             dim=model.config.hidden_size, hidden=model.config.intermediate_size,
             layers=model.config.num_hidden_layers, heads=model.config.num_attention_heads,
             kv_heads=model.config.num_key_value_heads, vocab=model.config.vocab_size,
             ctx=model.config.max_position_embeddings, name=os.path.basename(folder))
    return cfg


def llama(folder, dtype, shard="10GB", **config):
    torch.manual_seed(3)
    config = transformers.LlamaConfig(**{**SIZES, **config})
    model = transformers.LlamaForCausalLM(config).to(dtype)
    # transformers draws norms as ones; they should differ to be worth a check.
    for name, p in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(p)
    model.save_pretrained(folder, max_shard_size=shard)
    return model


def shards(tmp):
    folder = os.path.join(tmp, "gqa-bf16")
    model = llama(folder, torch.bfloat16, shard="500KB", tie_word_embeddings=False,
                  rms_norm_eps=1e-5, rope_theta=500000.0, bos_token_id=7,
                  eos_token_id=[9, 8])
    n = len(glob.glob(folder + "/model-*.safetensors"))
    assert n >= 2, f"{n} shards"
    cfg = check_model(folder, model, torch.bfloat16)
    d.expect(cfg, tied_head=0, act="silu", rope_theta=500000, bos=7, eos=9, head_dim=16,
             norm_eps="9.99999975e-06", tokenizer="")
    check_model(folder, model, torch.bfloat16, path=folder + "/config.json")
    check_model(folder, model, torch.bfloat16, path=folder + "/")
    return n


def tied(tmp):
    folder = os.path.join(tmp, "tied-f16")
    model = llama(folder, torch.float16, tie_word_embeddings=True, head_dim=24,
                  hidden_act="gelu_pytorch_tanh", bos_token_id=None, eos_token_id=5)
    open(folder + "/tokenizer.json", "w").close()
    cfg = check_model(folder, model, torch.float16)
    d.expect(cfg, tied_head=1, act="gelu", head_dim=24, bos=-1, eos=5, rope_theta=10000,
             tokenizer=folder + "/tokenizer.json")


def plain(tmp):
    folder = os.path.join(tmp, "f32")
    model = llama(folder, torch.float32, hidden_act="relu", num_key_value_heads=6)
    d.expect(check_model(folder, model, torch.float32), tied_head=0, act="relu", bos=1,
             eos=2)
    # As transformers 4 wrote it, with what old checkpoints also carry.
    config = json.load(open(folder + "/config.json"))
    config.pop("rope_parameters", None)
    config.update(rope_theta=1000000.0, rope_scaling=None, torch_dtype="float32",
                  pretraining_tp=1)
    json.dump(config, open(folder + "/config.json", "w"))
    state = load_file(folder + "/model.safetensors")
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    save_file(state, folder + "/model.safetensors", metadata={"format": "pt"})
    d.expect(check_model(folder, model, torch.float32), rope_theta=1000000)


def mixed_types(tmp):
    """Each tensor has its own type: what quantisers and merges leave behind."""
    folder = os.path.join(tmp, "mixed")
    model = llama(folder, torch.float32)
    state = load_file(folder + "/model.safetensors")
    name = "model.layers.1.mlp.down_proj.weight"
    state[name] = state[name].to(torch.float16)
    save_file(state, folder + "/model.safetensors")
    _, tensors = d.dump(TOOL, folder, folder + ".out")
    d.check(tensors, "down", 1, state[name].to(torch.float32).numpy(), "f16")
    d.check(tensors, "down", 0, model.state_dict()[name.replace("1", "0")].numpy(), "f32")


def mistral(tmp):
    folder = os.path.join(tmp, "mistral")
    torch.manual_seed(4)
    config = transformers.MistralConfig(**SIZES, sliding_window=None)
    model = transformers.MistralForCausalLM(config)
    model.save_pretrained(folder)
    check_model(folder, model, torch.float32)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        n = shards(tmp)
        tied(tmp)
        plain(tmp)
        mixed_types(tmp)
        mistral(tmp)
    print(f"transformers {transformers.__version__}: 5 folders ({n} shards) read bit for bit")


main()
