/* SPDX-License-Identifier: MIT */
/* A library that is no driver of today: it has one entry. */
int cuInit(unsigned flags) { return (int)flags; }
