/* SPDX-License-Identifier: MIT */
/* Every CUDA kernel: what it is called, where it is, how it is built.
 *
 *     K(entry, file, type, args)
 * is extern "C" __global__ void m2c_ENTRY(const struct m2c_k_ARGS), in
 * kernels/cuda/FILE.cu compiled with M2C_K_OPTIONS and -DM2C_T=TYPE (`any` where the file
 * does not ask). Entries of the same file and type are one module, one
 * compilation. Headers are included by their bare names. The emulation and the
 * NVRTC checks read these rows too, with a regular expression: one row a line,
 * and nothing but names in it.
 *
 * Which of the entries of an op runs, and its grid, block and dynamic shared
 * memory, is in launch.h. */
#ifndef M2C_KERNELS_CUDA_MANIFEST_H
#define M2C_KERNELS_CUDA_MANIFEST_H

/* No contraction: products and sums are fused where a kernel says fmaf, so
 * that the same sum has the same bits in every kernel that makes it. */
#define M2C_K_OPTIONS "--std=c++17", "--fmad=false", "--device-as-default-execution-space"

#define M2C_K_MANIFEST(K)                                                                \
    K(fill, fill, any, fill)                                                             \
    K(embed_f32, embed, f32, embed)                                                      \
    K(embed_f16, embed, f16, embed)                                                      \
    K(embed_bf16, embed, bf16, embed)                                                    \
    K(embed_i8, embed, i8, embed)                                                        \
    K(embed_i4, embed, i4, embed)                                                        \
    K(norm, norm, any, norm)                                                             \
    K(matvec_f32, matmul, f32, matmul)                                                   \
    K(matvec_f16, matmul, f16, matmul)                                                   \
    K(matvec_bf16, matmul, bf16, matmul)                                                 \
    K(matvec_i8, matmul, i8, matmul)                                                     \
    K(matvec_i4, matmul, i4, matmul)                                                     \
    K(matrows_f32, matmul, f32, matmul)                                                  \
    K(matrows_f16, matmul, f16, matmul)                                                  \
    K(matrows_bf16, matmul, bf16, matmul)                                                \
    K(matrows_i8, matmul, i8, matmul)                                                    \
    K(matrows_i4, matmul, i4, matmul)                                                    \
    K(gemm_f32, gemm, f32, matmul)                                                       \
    K(gemm_f16, gemm, f16, matmul)                                                       \
    K(gemm_bf16, gemm, bf16, matmul)                                                     \
    K(gemm_i8, gemm, i8, matmul)                                                         \
    K(gemm_i4, gemm, i4, matmul)                                                         \
    K(rope, rope, any, rope)                                                             \
    K(kv_append_f32, kv_append, f32, kv_append)                                          \
    K(kv_append_f16, kv_append, f16, kv_append)                                          \
    K(attention_f32, attention, f32, attention)                                          \
    K(attention_f16, attention, f16, attention)                                          \
    K(attention_join, attention_join, any, attention)                                    \
    K(ffn_up, ffn_up, any, ffn_up)                                                       \
    K(ffn_up_rows, ffn_up, any, ffn_up)                                                  \
    K(ffn_down, ffn_down, any, ffn_down)                                                 \
    K(ffn_down_rows, ffn_down, any, ffn_down)                                            \
    K(ffn_sum, ffn_sum, any, ffn_sum)                                                    \
    K(argmax, argmax, any, argmax)                                                       \
    K(select, select, any, select)                                                       \
    K(lookup, lookup, any, lookup)                                                       \
    K(gather, gather, any, gather)

#endif
