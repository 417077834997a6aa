/* SPDX-License-Identifier: MIT */
/* Nothing: main is the kernel program's, in a library. This file makes the
 * linker's language C++. */
