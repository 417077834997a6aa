/* SPDX-License-Identifier: MIT */
/* Eq. 1 of the paper. */
#include "meter/carbon.h"

#include <errno.h>

static const double J_PER_KWH = 3.6e6, SECONDS_PER_YEAR = 365.25 * 86400;

int m2c_carbon(const struct m2c_carbon_cfg *cfg, double joules, double seconds,
               struct m2c_carbon *out, struct m2c_err *err)
{
    if (!(joules >= 0) || !(seconds >= 0) || !(cfg->g_per_kwh >= 0) ||
        !(cfg->embodied_kg >= 0))
        return m2c_fail(err, -EINVAL,
                        "carbon: of %g J in %g s at %g gCO2/kWh with %g kg embodied",
                        joules, seconds, cfg->g_per_kwh, cfg->embodied_kg);
    if (cfg->embodied_kg > 0 &&
        !(cfg->life_years > 0 && cfg->utilisation > 0 && cfg->utilisation <= 1))
        return m2c_fail(err, -EINVAL,
                        "carbon: %g kg embodied need a life above 0 years (%g) and a "
                        "utilisation in (0, 1] (%g)",
                        cfg->embodied_kg, cfg->life_years, cfg->utilisation);
    out->operational_g = joules / J_PER_KWH * cfg->g_per_kwh;
    out->embodied_g = 0;
    if (cfg->embodied_kg > 0)
        out->embodied_g = cfg->embodied_kg * 1e3 * seconds /
                          (cfg->life_years * SECONDS_PER_YEAR * cfg->utilisation);
    return 0;
}

double m2c_carbon_paper_j(double dram_gb, double seconds)
{
    return (dram_gb * M2C_PAPER_DRAM_W_PER_GB + M2C_PAPER_SSD_W) * seconds;
}
