/* SPDX-License-Identifier: MIT */
#include "tk.h"
void tk_bench(struct tk *t) { (void)t; }
