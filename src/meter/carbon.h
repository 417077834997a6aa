/* SPDX-License-Identifier: MIT */
/* Carbon of a run, after M2Cache (arXiv 2410.14740), Eq. 1:
 *
 *     CF = OCE + ECE         operational + embodied emissions
 *     OCE = energy * intensity of the grid
 *     ECE = embodied * time / (life * utilisation)
 *
 * The paper takes ECE as 0, for hardware that is there already; the spread of
 * ECE over the busy part of the hardware's life is the usual one (Gupta et al.,
 * "ACT", ISCA 2022). A card of 150 kg that is used for 4 years, half of the time,
 * owes 2.05 kg to each day of work. Where nothing measures, the paper takes the energy of a
 * memory as size * power of a unit * time, with the constants below. */
#ifndef M2C_METER_CARBON_H
#define M2C_METER_CARBON_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The paper's constants. It does not give a GPU's power. */
#define M2C_PAPER_DRAM_W_PER_GB (26.0 / 256.0)
#define M2C_PAPER_SSD_W 2.0
#define M2C_PAPER_G_PER_KWH 820.0

struct m2c_carbon_cfg {
    double g_per_kwh;   /* gCO2 a kWh of the grid */
    double embodied_kg; /* kgCO2 of making the hardware; 0: as in the paper */
    double life_years;  /* for which it is used, > 0 where embodied_kg is */
    double utilisation; /* share of its life in which it works, (0, 1] likewise */
};

struct m2c_carbon {
    double operational_g, embodied_g; /* gCO2 */
};

/* Of `joules` spent in `seconds`. -EINVAL for what is negative, NaN, or without
 * the life that embodied_kg needs. */
M2C_MUST_USE int m2c_carbon(const struct m2c_carbon_cfg *cfg, double joules,
                            double seconds, struct m2c_carbon *out, struct m2c_err *err);

/* Intensity of a country's electricity over its life cycle, in a year. */
struct m2c_region {
    const char *code, *name; /* code: ISO 3166-1, two letters */
    double g_per_kwh;
    int year;
};
/* Where they are from. */
#define M2C_REGION_SOURCE "Ember, by Our World in Data"
extern const struct m2c_region m2c_regions[];
extern const size_t m2c_regions_n;
/* By its code, in any case. -EINVAL names all. */
M2C_MUST_USE int m2c_region_find(const char *code, const struct m2c_region **out,
                                 struct m2c_err *err);

/* The paper's energy of DRAM and one SSD, in joules. */
double m2c_carbon_paper_j(double dram_gb, double seconds);

#ifdef __cplusplus
}
#endif
#endif
