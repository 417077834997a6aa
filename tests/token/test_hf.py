# SPDX-License-Identifier: MIT
"""tokenizer.json against the tokenizers package: GPT-2's pair, tokenizers made
here as Llama 3, SmolLM, Llama 2 and others have them, and the shipped model's."""
import json
import os
import sys
import tempfile

import oracle as o

o.need("tokenizers")
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models,  # noqa: E402
                        normalizers, pre_tokenizers, processors, trainers)

TOOL = sys.argv[1]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?"
            r"[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CORPUS = o.random_texts(100, 600)
TEXTS = o.random_texts(7) + o.real_text()
FEWER = TEXTS[::5]


def byte_level(pre, vocab=900, **bpe):
    t = Tokenizer(models.BPE(**bpe))
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=["<|begin_of_text|>", "<|end_of_text|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return t


def ids_of(t, texts, special):
    t.encode_special_tokens = not special
    return [t.encode(x, add_special_tokens=False).ids for x in texts]


def check(name, t, path, texts=None):
    """Ids, with and without special tokens, and the text that comes back."""
    texts = TEXTS if texts is None else texts
    have = o.Tool(TOOL, path)
    want = ids_of(t, texts, False)
    o.compare(name, texts, have.encode(texts), want)
    o.compare(name + ", special", texts, have.encode(texts, "special"),
              ids_of(t, texts, True))
    back = [t.decode(x).encode() for x in want]
    # where bytes of a cut character are left alone, ours leaves them as they are
    mine = [x.decode(errors="replace").encode() for x in have.decode(texts)]
    pairs = [i for i, x in enumerate(back) if "\ufffd".encode() not in x]
    assert len(pairs) > len(texts) * 0.9 or len(texts) < 50
    o.compare(name + ", back", [texts[i] for i in pairs], [mine[i] for i in pairs],
              [back[i] for i in pairs])
    assert have.info()[:2] == ("hf", t.get_vocab_size()), have.info()


def save(tmp, name, t):
    path = os.path.join(tmp, name.replace(" ", "_") + ".json")
    t.save(path)
    return path


def made(tmp, name, t, texts=None):
    check(name, t, save(tmp, name, t), FEWER if texts is None else texts)


def gpt2():
    path = o.shared("tokenizers", "cs336_gpt2_vocab.json")
    if not path:
        return
    t = Tokenizer(models.BPE.from_file(path, path.replace("vocab.json", "merges.txt")))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens(["<|endoftext|>"])
    check("GPT-2", t, path)
    lossless("GPT-2", path)
    assert o.Tool(TOOL, path).info() == ("hf", 50257, 50256, 50256)


def lossless(name, path):
    """Bytes that are no UTF-8 come back."""
    data = o.random_bytes(8)
    for a, b in zip(o.Tool(TOOL, path).decode(data), data):
        assert a == b, f"{name}: {b!r} comes back as {a!r}"


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior, invert),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def byte_levels(tmp):
    bl = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made(tmp, "llama 3", byte_level(split(LLAMA3)), TEXTS)
    ignoring = json.loads(byte_level(split(LLAMA3), 1500).to_str())
    ignoring["model"]["ignore_merges"] = True
    del ignoring["model"]["merges"][::7]
    made(tmp, "ignore_merges", Tokenizer.from_str(json.dumps(ignoring)))
    made(tmp, "GPT-4o", byte_level(split(GPT4O)))
    made(tmp, "removed, inverted", byte_level(split(LLAMA3, "removed", True)))
    made(tmp, "removed", byte_level(split(r"\s+", "removed")))
    for i, behavior in enumerate(("contiguous", "merged_with_previous", "merged_with_next")):
        made(tmp, behavior, byte_level(split(r"[0-9.,']", behavior, i == 1)))
    made(tmp, "empty matches", byte_level(split(r"x*|\d{2,}")))
    made(tmp, "DeepSeek", byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        pre_tokenizers.Split(Regex("[一-龥\u3040-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(DEEPSEEK), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])))
    made(tmp, "SmolLM", byte_level(pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), bl])), TEXTS)
    made(tmp, "digits together", byte_level(pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=False), bl])))
    made(tmp, "prefix space", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True)))
    made(tmp, "prefix each", byte_level(pre_tokenizers.Sequence(
        [pre_tokenizers.Split("e", "merged_with_next"),
         pre_tokenizers.ByteLevel(add_prefix_space=True)])))
    lossless("llama 3", os.path.join(tmp, "llama_3.json"))
    pairs = json.loads(byte_level(bl).to_str())
    pairs["model"]["merges"] = [" ".join(m) if isinstance(m, list) else m
                                for m in pairs["model"]["merges"]]
    t = Tokenizer.from_str(json.dumps(pairs))
    path = os.path.join(tmp, "strings.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(pairs, f)
    check("merges as strings", t, path, FEWER)


CLASSES = (r"\s", r"\S", r"[^\s\d]", r"[\S]|\d", r"[^\S]", r"\D", r".", r"\v", r"\p{L}",
           r"\P{N}", r"[\p{Lu}\p{Lt}\p{M}]", r"[^\p{P}\p{S}]", r"\p{^Z}", r"(?i:[a-z])",
           r"(?i)[sk]|é", r"[!-/:-@\[-`\{-~]", r"[\x{0}-\x{20}\u2028]+", r"\p{L}{2,3}")


def classes(tmp):
    """Every character of Unicode 3.2 is a space, digit, letter and so on to both; of
    the long rows of ideographs, syllables and private ones some."""
    old = o.unicodedata.ucd_3_2_0
    every = [chr(c) for c in range(0x110000) if old.category(chr(c)) not in ("Cn", "Cs")
             and (c < 0x3400 or 0xfb00 <= c < 0x20000 or c % 251 == 0)]
    texts = ["".join(every[i:i + 100]) for i in range(0, len(every), 100)]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    t = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    t.decoder = decoders.ByteLevel()
    for pattern in CLASSES:
        # a space before each piece shows where it was cut
        t.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)])
        path = save(tmp, "class", t)
        o.compare(pattern, texts, o.Tool(TOOL, path).encode(texts), ids_of(t, texts, False))


def added(tmp):
    t = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    t.add_tokens([AddedToken("<tool>", special=False), AddedToken("hello", normalized=True),
                  AddedToken("<l>", lstrip=True), AddedToken("<r>", rstrip=True),
                  AddedToken("<tool>x", special=False), AddedToken("<é >", normalized=False)])
    t.add_special_tokens([AddedToken("<|im_start|>"), AddedToken("<|pad|>", lstrip=True,
                                                                 rstrip=True)])
    r = o.random.Random(9)
    bits = ["<tool>", "hello", "<l>", "<r>", "<tool>x", "<é >", "<|im_start|>", "<|pad|>", " ",
            "  ", "\n", "\u3000", "a", "<|", "<|im_start|", "<|begin_of_text|>", "tool>", "é",
            "\u00a0", " world", "<tool><tool>x<l> <r> "]
    texts = ["".join(r.choice(bits) for _ in range(r.randint(1, 12))) for _ in range(o.N_TEXTS)]
    check("added tokens", t, save(tmp, "added", t), texts)


def llama2(tmp):
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    for name, byte_fallback, fuse, pre, post in (
            ("llama 2", True, True, None, False), ("no bytes", False, True, None, False),
            ("no bytes, unfused", False, False, None, False),
            ("metaspace", True, True, "first", False),
            ("metaspace, always, split", True, True, "always", True),
            ("metaspace, never", True, True, "never", False)):
        t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=byte_fallback,
                                 fuse_unk=fuse))
        scheme = pre_tokenizers.Metaspace(prepend_scheme=pre, split=post) if pre else None
        normal = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        if scheme:
            t.pre_tokenizer = scheme
            t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                           decoders.Fuse()] +
                                          ([decoders.Strip(" ", 1, 0)] if pre != "never" else []))
        else:
            t.normalizer = normal
            t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                           decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        few = [x for x in CORPUS if x.isascii()] + ["naïve café ﬁ 日本", "▁▁ a▁b"] * 3
        t.train_from_iterator(few * 3, trainers.BpeTrainer(
            vocab_size=700, special_tokens=["<unk>", "<s>", "</s>"] +
            (bytes_ if byte_fallback else []), max_token_length=12, show_progress=False))
        # the bytes are ordinary tokens in real files
        doc = json.loads(t.to_str())
        doc["added_tokens"] = [dict(a, normalized=False) for a in doc["added_tokens"]
                               if not a["content"].startswith("<0x")]
        t = Tokenizer.from_str(json.dumps(doc))
        t.add_tokens([AddedToken("new one", normalized=True), AddedToken("raw", normalized=False)])
        t.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
        texts = (TEXTS if name == "llama 2" else FEWER) + ["a new one", "new one raw x", "a  new onenew one", "raw", "<s> b</s>c"]
        path = save(tmp, name, t)
        check(name, t, path, texts)
        assert o.Tool(TOOL, path).info()[2:] == (1, 2)


def shipped():
    path = os.path.join(os.environ["M2C_SOURCE"], "data", "tiny", "tokenizer.json")
    if not os.path.exists(path):
        print("the model that m2c ships is not there")
        return
    check("data/tiny", Tokenizer.from_file(path), path)
    lossless("data/tiny", path)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        llama2(tmp)
        if o.without_pcre2():
            t = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
            o.Tool(TOOL, save(tmp, "none", t)).refused("PCRE2", "/pre_tokenizer")
            return
        byte_levels(tmp)
        classes(tmp)
        added(tmp)
    gpt2()
    shipped()


main()
