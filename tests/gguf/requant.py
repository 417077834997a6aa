# SPDX-License-Identifier: MIT
"""A GGUF file again with other element types: matrices as f16, or in llama.cpp's own
blocks (ggml_quantize_chunk, which is what its llama-quantize calls for a tensor)."""
import ctypes as c

import gguf
import numpy as np

import llamacpp

FILE_TYPES = {"F16": 1, "Q4_0": 2, "Q8_0": 7}


def matrix(t):
    value = gguf.quants.dequantize(t.data, t.tensor_type)
    return value.reshape([int(x) for x in t.shape[::-1]])


def blocks(x, kind):
    """f32[rows][cols] as the bytes of llama.cpp's blocks, u8[rows][bytes]."""
    quantise = llamacpp.library().ggml_quantize_chunk
    quantise.restype = c.c_size_t
    quantise.argtypes = [c.c_int, c.c_void_p, c.c_void_p] + 3 * [c.c_int64] + [c.c_void_p]
    x = np.ascontiguousarray(x, "<f4")
    elems, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.empty((x.shape[0], x.shape[1] // elems * size), np.uint8)
    n = quantise(int(kind), x.ctypes.data, out.ctypes.data, 0, *x.shape, None)
    assert n == out.nbytes
    return out


def converted(path, out, kind="F16", embed=None):
    """The same model with every matrix of one kind, the embedding (and the head, where
    it is tied to it) of another one, if that is named."""
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(out, "llama")
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        value = field.types[0]
        if value == gguf.GGUFValueType.ARRAY:
            writer.add_array(name, field.contents())
        else:
            writer.add_key_value(name, field.contents(), value)
    writer.add_file_type(FILE_TYPES[kind])
    for t in reader.tensors:
        x, of = matrix(t), embed if embed and t.name == "token_embd.weight" else kind
        if x.ndim == 1:
            writer.add_tensor(t.name, x)
        elif of == "F16":
            writer.add_tensor(t.name, x.astype("<f2"))
        else:
            code = gguf.GGMLQuantizationType[of]
            writer.add_tensor(t.name, blocks(x, code), raw_dtype=code)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
