# SPDX-License-Identifier: MIT
"""Random Llamas saved by transformers, imported and scored by m2c, against
torch: RoPE, GQA, tying, activations and the tokenizer together."""
import json
import math
import os
import subprocess
import sys
import tempfile

wanted = os.environ.get("M2C_PYTHON")
if wanted and os.environ.get("M2C_PYTHON_USED") != wanted and os.path.exists(wanted):
    os.environ["M2C_PYTHON_USED"] = wanted
    os.execv(wanted, [wanted] + sys.argv)
try:
    import tokenizers
    import torch
    import transformers
except ImportError as missing:
    print(f"skipped: {missing} (set M2C_PYTHON)")
    sys.exit(77)

M2C = sys.argv[1]
TEXT = """The engineer's notebook said: "Don't trust the meter at 3 o'clock; it's 12% off."
We went back in 2024, measured 1,234 rows again, and found nothing. Naïve? Maybe – but
déjà vu costs nothing either. ¿Qué más? 東京 was far, the train was late, and they've left.
""" * 3


def save_tokenizer(folder):
    tok = tokenizers.Tokenizer(tokenizers.models.BPE())
    tok.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet,
        show_progress=False)
    tok.train_from_iterator([TEXT], trainer)
    tok.save(os.path.join(folder, "tokenizer.json"))
    return tok


def make(folder, dtype, shard, **config):
    torch.manual_seed(11)
    config = transformers.LlamaConfig(
        hidden_size=96, intermediate_size=200, num_hidden_layers=3, num_attention_heads=6,
        vocab_size=320, max_position_embeddings=512, bos_token_id=0, eos_token_id=1,
        initializer_range=0.2, **config)
    model = transformers.LlamaForCausalLM(config)
    for name, p in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(p, 1, 0.2)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    # Loaded again: casting a live model rounds its RoPE frequencies, too.
    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for name, p in model.named_parameters():
        if ".mlp." in name:  # the widest class of a store
            p.data = p.data.to(torch.float16).to(torch.float32)
    return model.double().eval(), save_tokenizer(folder)


def torch_nll(model, ids):
    with torch.no_grad():
        logits = model(torch.tensor([[0] + ids])).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids)).item()


def compare(tmp, name, dtype, shard, **config):
    folder, store, text = (os.path.join(tmp, name + tail) for tail in ("", ".h5", ".txt"))
    model, tok = make(folder, dtype, shard, **config)
    with open(text, "w", encoding="utf-8") as f:
        f.write(TEXT.strip())
    for args in (["import", folder, store], ["verify", store]):
        made = subprocess.run([M2C, *args], capture_output=True, text=True)
        if "no PCRE2" in made.stderr:
            print("skipped: this build has no PCRE2 for the tokenizer")
            sys.exit(77)
        made.check_returncode()
    run = subprocess.run([M2C, "ppl", store, "--text", text, "--json"], check=True,
                         capture_output=True)
    have = json.loads(run.stdout)
    ids = tok.encode(TEXT.strip(), add_special_tokens=False).ids
    want = torch_nll(model, ids)
    error = abs(have["nll_per_token"] - want)
    print(f"{name}: {len(ids)} tokens, NLL {want:.7f}, m2c differs by {error:.1e}")
    assert have["n_tokens"] == len(ids)
    # torch's own f32 is up to 5e-7 from its f64 on these models.
    assert error < 1e-5, have
    assert want > math.log(320), "a random model should be worse than guessing"


def main():
    with tempfile.TemporaryDirectory() as tmp:
        compare(tmp, "gqa-bf16", torch.bfloat16, "300KB", num_key_value_heads=2,
                tie_word_embeddings=False, rope_theta=500000.0, rms_norm_eps=1e-5)
        compare(tmp, "tied-f16", torch.float16, "10GB", num_key_value_heads=6,
                tie_word_embeddings=True, head_dim=24, hidden_act="gelu_pytorch_tanh")
        compare(tmp, "relu-f32", torch.float32, "10GB", num_key_value_heads=3,
                tie_word_embeddings=False, hidden_act="relu")


main()
