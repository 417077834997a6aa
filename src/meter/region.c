/* SPDX-License-Identifier: MIT */
/* The grid's intensity by country: grams of CO2 equivalent a kWh generated, over
 * the life cycle of the plants; yearly means of Ember ("Yearly Electricity Data"),
 * processed by Our World in Data ("Lifecycle carbon intensity of electricity
 * generation", CC BY 4.0), for 2023, rounded to grams. Where and when a machine
 * really runs is known to its owner alone: carbon.g_per_kwh. */
#include "meter/carbon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const struct m2c_region m2c_regions[] = {
    {"at", "Austria", 111, 2023},        {"au", "Australia", 549, 2023},
    {"br", "Brazil", 98, 2023},          {"ca", "Canada", 170, 2023},
    {"ch", "Switzerland", 35, 2023},     {"cn", "China", 582, 2023},
    {"cz", "Czechia", 450, 2023},        {"de", "Germany", 381, 2023},
    {"dk", "Denmark", 152, 2023},        {"es", "Spain", 174, 2023},
    {"fi", "Finland", 79, 2023},         {"fr", "France", 56, 2023},
    {"gb", "United Kingdom", 238, 2023}, {"ie", "Ireland", 291, 2023},
    {"in", "India", 713, 2023},          {"it", "Italy", 331, 2023},
    {"jp", "Japan", 485, 2023},          {"kr", "South Korea", 431, 2023},
    {"nl", "Netherlands", 268, 2023},    {"no", "Norway", 30, 2023},
    {"pl", "Poland", 662, 2023},         {"se", "Sweden", 41, 2023},
    {"sg", "Singapore", 471, 2023},      {"tw", "Taiwan", 642, 2023},
    {"us", "United States", 369, 2023},  {"za", "South Africa", 708, 2023},
};
const size_t m2c_regions_n = M2C_COUNTOF(m2c_regions);

int m2c_region_find(const char *code, const struct m2c_region **out, struct m2c_err *err)
{
    char all[256] = "";
    for (size_t i = 0; i < m2c_regions_n; i++) {
        if (strcasecmp(code, m2c_regions[i].code) == 0) {
            *out = &m2c_regions[i];
            return 0;
        }
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, " %s", m2c_regions[i].code);
    }
    return m2c_fail(err, -EINVAL, "no such region (have:%s); else give g_per_kwh", all);
}
