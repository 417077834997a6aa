#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains the shipped model: a byte-level BPE tokenizer and a small Llama with a ReGLU FFN.

The FFN is down(relu(gate x) * (up x)). A penalty on the positive gate values, scaled per layer by
a controller, holds the fraction of active neurons near --density. The result is a Hugging Face
folder (f16 safetensors, tensor names of LlamaForCausalLM), written anew every --save-every steps,
so a run that is cut off leaves a usable model.

Invariant: the same text, arguments, torch version, thread count and CPU give the same model.
"""
import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

SEP = "<|endoftext|>"
BOS, EOS = 0, 1
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "relu",
    "vocab_size": 1024, "hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 6,
    "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 32, "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5, "max_position_embeddings": 512, "tie_word_embeddings": True,
    "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0,
    "initializer_range": 0.02, "pretraining_tp": 1, "use_cache": True,
    "bos_token_id": BOS, "eos_token_id": EOS, "torch_dtype": "float16",
}


class Norm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        return F.rms_norm(x.float(), x.shape[-1:], self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim, self.hd = c["hidden_size"], c["head_dim"]
        self.nh, self.nkv = c["num_attention_heads"], c["num_key_value_heads"]
        self.q_proj = nn.Linear(dim, self.nh * self.hd, bias=False)
        self.k_proj = nn.Linear(dim, self.nkv * self.hd, bias=False)
        self.v_proj = nn.Linear(dim, self.nkv * self.hd, bias=False)
        self.o_proj = nn.Linear(self.nh * self.hd, dim, bias=False)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        def heads(y, n):
            return y.view(b, t, n, self.hd).transpose(1, 2)
        def rope(y):        # half-split pairs (i, i + hd/2)
            lo, hi = y.chunk(2, -1)
            return y * cos + torch.cat((-hi, lo), -1) * sin
        q, k = rope(heads(self.q_proj(x), self.nh)), rope(heads(self.k_proj(x), self.nkv))
        v, g = heads(self.v_proj(x), self.nkv), self.nh // self.nkv
        k, v = k.repeat_interleave(g, 1), v.repeat_interleave(g, 1)
        y = F.scaled_dot_product_attention(q, k.to(q.dtype), v.to(q.dtype), is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, -1))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim, hidden = c["hidden_size"], c["intermediate_size"]
        self.gate_proj = nn.Linear(dim, hidden, bias=False)
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        g = self.gate_proj(x)
        return self.down_proj(F.relu(g) * self.up_proj(x)), g


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = Norm(c["hidden_size"], c["rms_norm_eps"])
        self.self_attn = Attention(c)
        self.post_attention_layernorm = Norm(c["hidden_size"], c["rms_norm_eps"])
        self.mlp = MLP(c)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        y, g = self.mlp(self.post_attention_layernorm(x))
        return x + y, g


class Llama(nn.Module):
    """ids [B, T] -> logits [B, T, V] and the gate values of each layer [B, T, hidden]."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.model.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.model.norm = Norm(c["hidden_size"], c["rms_norm_eps"])
        hd = c["head_dim"]
        freq = c["rope_theta"] ** (-torch.arange(0, hd, 2).double() / hd)
        angle = torch.arange(c["max_position_embeddings"]).double()[:, None] * freq
        self.rope = torch.cat((angle, angle), -1).cos().float(), \
            torch.cat((angle, angle), -1).sin().float()
        for name, p in self.named_parameters():
            if p.dim() == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(p, std=0.05 / (math.sqrt(2 * c["num_hidden_layers"]) if last else 1))

    def forward(self, ids):
        x = self.model.embed_tokens(ids)
        cos, sin = (r[:ids.shape[1]] for r in self.rope)
        gates = []
        for layer in self.model.layers:
            x, g = layer(x, cos, sin)
            gates.append(g)
        return F.linear(self.model.norm(x), self.model.embed_tokens.weight), gates


def pieces(path):
    """The documents of a text: split at the separator, stripped, empty ones dropped."""
    return [p for p in (p.strip() for p in Path(path).read_text().split(SEP)) if p]


def train_tokenizer(texts, vocab):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    return tok


def save_folder(out, model, tok):
    out.mkdir(parents=True, exist_ok=True)
    tensors = {k: p.detach().half().contiguous() for k, p in model.named_parameters()}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    tok.save(str(out / "tokenizer.json"))
    for name, what in (("config.json", model.c),
                       ("generation_config.json", {"bos_token_id": BOS, "eos_token_id": EOS}),
                       ("tokenizer_config.json", {
                           "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>",
                           "eos_token": "</s>", "add_bos_token": False, "add_eos_token": False,
                           "clean_up_tokenization_spaces": False, "model_max_length": 512})):
        (out / name).write_text(json.dumps(what, indent=2) + "\n")


def load_folder(path):
    """The model of a folder in float32, and its tokenizer."""
    path = Path(path)
    model = Llama(json.loads((path / "config.json").read_text()))
    model.load_state_dict({k: v.float() for k, v in load_file(path / "model.safetensors").items()})
    return model.eval(), Tokenizer.from_file(str(path / "tokenizer.json"))


def batches(docs, tokens, rng):
    """One epoch of [rows, T] batches, a row one document. Documents of like length go together;
    the order of documents and of batches is random. Padding is EOS, and is not scored."""
    order = rng.permutation(len(docs))
    for at in range(0, len(order), 4096):
        chunk = sorted(order[at:at + 4096], key=lambda i: (len(docs[i]), i))
        groups, group = [], []
        for i in chunk:
            if group and (len(group) + 1) * len(docs[i]) > tokens:
                groups.append(group)
                group = []
            group.append(i)
        groups.append(group)
        for k in rng.permutation(len(groups)):
            rows = [docs[i] for i in groups[k]]
            size = np.array([len(x) for x in rows])
            ids = np.full((len(rows), size.max()), EOS, np.int64)
            for x, row in zip(ids, rows):
                x[:len(row)] = row
            yield torch.from_numpy(ids), torch.from_numpy(
                np.arange(1, size.max())[None] < size[:, None])


@torch.no_grad()
def quick_eval(model, docs):
    """Mean NLL per token and active fraction by layer, a few documents."""
    nll, n, act, m = 0.0, 0, 0, 0
    for d in docs:
        ids = torch.tensor(d[:512], dtype=torch.long)[None]
        logits, gates = model(ids)
        nll += F.cross_entropy(logits[0, :-1].float(), ids[0, 1:], reduction="sum").item()
        act += torch.stack([(g > 0).float().mean(2).sum() for g in gates])
        n, m = n + ids.shape[1] - 1, m + ids.shape[1]
    return nll / n, act / m


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    here = Path(__file__).parent
    ap.add_argument("--train", type=Path, required=True, help="training text of make_text.py")
    ap.add_argument("--watch", type=Path, default=here / "calib.txt",
                    help="text for the figures in the log")
    ap.add_argument("--out", type=Path, default=here / "tiny", help="folder to write")
    ap.add_argument("--steps", type=int, default=4000, help="optimizer steps (default %(default)s)")
    ap.add_argument("--tokens", type=int, default=4096, help="tokens a step (default %(default)s)")
    ap.add_argument("--lr", type=float, default=2e-3, help="peak rate (default %(default)s)")
    ap.add_argument("--density", type=float, default=0.2,
                    help="wanted fraction of active gates (default %(default)s)")
    ap.add_argument("--seed", type=int, default=1, help="default %(default)s")
    ap.add_argument("--threads", type=int, default=2, help="default %(default)s")
    ap.add_argument("--save-every", type=int, default=400, help="steps (default %(default)s)")
    a = ap.parse_args()

    torch.set_num_threads(a.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed)

    texts = pieces(a.train)
    tok = train_tokenizer(texts[:20000], CONFIG["vocab_size"])
    def encode(ps):
        return [np.array([BOS, *e.ids, EOS], np.int16)[:CONFIG["max_position_embeddings"]]
                for e in tok.encode_batch(ps)]
    docs, watch = encode(texts), encode(pieces(a.watch)[:40])
    model = Llama(CONFIG)
    n_tok = sum(map(len, docs))
    print(f"{len(docs)} documents, {n_tok} tokens, {sum(map(len, texts)) / n_tok:.2f} bytes/token, "
          f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)

    mats = [p for p in model.parameters() if p.dim() == 2]
    opt = torch.optim.AdamW([{"params": mats, "weight_decay": 0.1},
                             {"params": [p for p in model.parameters() if p.dim() != 2],
                              "weight_decay": 0.0}], lr=a.lr, betas=(0.9, 0.98), fused=True)
    warm, sparse_from = 200, a.steps // 10
    lam = torch.zeros(len(model.model.layers))      # the penalty's weight, by layer
    start, step, mean, seen = time.time(), 0, 0.0, 0
    while step < a.steps:
        for ids, scored in batches(docs, a.tokens, rng):
            lr = a.lr * min((step + 1) / warm, 0.02 + 0.49 * (1 + math.cos(math.pi * step / a.steps)))
            for g in opt.param_groups:
                g["lr"] = lr
            with torch.autocast("cpu", torch.bfloat16):
                logits, gates = model(ids)
            nll = F.cross_entropy(logits[:, :-1][scored].float(), ids[:, 1:][scored])
            loss = nll
            if step >= sparse_from:
                # Mean positive gate over the layer's root mean square: blind to the scale of the
                # weights, so it can only be lowered by switching gates off. The controller moves
                # each layer's weight by the density it sees; the target falls from 0.5.
                goal = max(a.density, 0.5 - 0.5 * (step - sparse_from) / (0.3 * a.steps))
                for i, g in enumerate(gates):
                    dense = (g.detach() > 0).float().mean().item()
                    lam[i] = (lam[i] + 5e-3 * (dense - goal)).clamp(0, 1)
                    r = F.relu(g).float().mean() / g.float().square().mean().add(1e-6).sqrt()
                    loss = loss + lam[i].item() * r
            opt.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            step, seen = step + 1, seen + ids.numel()
            mean = nll.item() if step == 1 else 0.98 * mean + 0.02 * nll.item()
            if step % 50 == 0 or step == a.steps:
                print(f"step {step} nll {mean:.4f} lr {lr:.2e} tok/s {seen / (time.time() - start):.0f} "
                      f"t {time.time() - start:.0f}", flush=True)
            if step % a.save_every == 0 or step == a.steps:
                held, act = quick_eval(model, watch)
                print(f"step {step} watch nll {held:.4f} active {[round(x, 3) for x in act.tolist()]}"
                      f" penalty {[round(x, 4) for x in lam.tolist()]}", flush=True)
                save_folder(a.out, model, tok)
            if step == a.steps:
                break


if __name__ == "__main__":
    main()
