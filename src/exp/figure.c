/* SPDX-License-Identifier: MIT */
/* The table of figures. */
#include "exp/figure.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const struct m2c_figure m2c_figures[] = {
    {"ttft", "s", "time to the first new token: prefill and one sample", false},
    {"prefill_tok_s", "tok/s", "prompt tokens over TTFT", false},
    {"decode_tok_s", "tok/s", "new tokens after the first over their time", false},
    {"decode_tok_s_median", "tok/s", "1 / median token time", false},
    {"token_p50", "s", "median time of a decode step", false},
    {"token_p95", "s", "95th percentile", false},
    {"token_p99", "s", "99th percentile", false},
    {"time_attention", "s/tok", "dense part: norms, projections, attention, head", false},
    {"time_select", "s/tok", "compute waits for selection and tier management", false},
    {"time_phase_a", "s/tok", "gate, up, activation", false},
    {"time_phase_b", "s/tok", "down", false},
    {"time_copy_wait", "s/tok", "compute waits for copies into the device", false},
    {"time_ssd_wait", "s/tok", "the host waits for the SSD", false},
    {"time_tier_host", "s/tok", "the host's time in the tier manager, waits included",
     false},
    {"time_enqueue", "s/tok", "the host hands ops and copies to the device's driver", false},
    {"time_select_host", "s/tok", "the host's time in the selector", false},
    {"time_shadow", "s/tok", "true activations, which no deployed system has", false},
    {"hit_ratio_hbm", "", "neurons resident or coming when wanted", true},
    {"hit_ratio_dram", "", "layers resident or in flight when reached", false},
    {"hbm_bytes_wanted", "B/tok", "DRAM to device, asked for", false},
    {"hbm_bytes_moved", "B/tok", "DRAM to device, moved", false},
    {"ssd_bytes_wanted", "B/tok", "SSD to DRAM, asked for", false},
    {"ssd_bytes_moved", "B/tok", "SSD to DRAM, moved, overread included", false},
    {"ssd_requests", "1/tok", "reads issued", false},
    {"ssd_registered", "B", "DRAM that the I/O engine has registered with the kernel", false},
    {"ffn_bytes_read", "B/tok", "weight bytes of the neurons computed", false},
    {"evictions", "1/tok", "neurons that left a unit for another", false},
    {"reclassed", "1/tok", "neurons that went to slots of another class", false},
    {"widened", "1/tok", "neurons of which only the missing parts came", false},
    {"wider", "", "neurons computed wider than wanted, of all computed", false},
    {"waves", "1/tok", "waves over all layers", false},
    {"launches", "1/tok", "ops handed to the device", false},
    {"copy_batches", "1/tok", "batches of copies handed to the device", false},
    {"active_fraction", "", "neurons computed of all", false},
    {"active_true", "", "neurons whose true activation is above zero, of all", true},
    {"mean_bits", "bit", "nominal bits of an active weight", false},
    {"overlap", "", "neurons of the last token wanted again", true},
    {"overlap_at", "", "neurons of the token so many before wanted again, by layer", true},
    {"overlap_class_at", "", "wanted again at the same class", true},
    {"overlap_static", "", "what frequencies alone would give, by layer", true},
    {"overlap_class_static", "", "the same, of neurons at a class", true},
    {"active_count", "", "mean number of neurons wanted of a layer", true},
    {"active_count_var", "", "its variance over tokens", true},
    {"active_count_var_alone", "", "what it would be of independent neurons", true},
    {"density", "", "neurons wanted of all", true},
    {"concentration_80", "", "share of neurons that makes 80 % of activations", true},
    {"never_active", "", "share of neurons that no token wanted", true},
    {"class_kept", "", "of the neurons wanted again, at the same class", true},
    {"ablation_tok_s", "tok/s", "decode with the mechanisms up to this one", true},
    {"ablation_hit_ratio", "", "neurons resident when wanted, up to this one", true},
    {"ablation_hbm_bytes", "B/tok", "DRAM to device, moved, up to this one", true},
    {"ablation_ssd_bytes", "B/tok", "SSD to DRAM, moved, up to this one", true},
    {"ablation_ssd_wait", "s/tok", "the host waits for the SSD, up to this one", true},
    {"device_bytes_peak", "B", "device memory held at most", false},
    {"pinned_bytes_peak", "B", "host memory of tiers and staging held at most", false},
    {"shadow_bytes", "B", "the shadow copy of gate and up, outside the tiers", false},
    {"rss_peak", "B", "resident set of the process at most, since the point began",
     false},
    {"page_cache", "", "share of the store's pages in the page cache at the start",
     false},
    {"ppl_tokens", "tok", "tokens scored", false},
    {"nll", "nat/tok", "mean negative log-likelihood", false},
    {"perplexity", "", "exp(nll)", false},
    {"nll_dense", "nat/tok", "of the dense reference on the same tokens", false},
    {"kl_mean", "nat/tok", "KL(dense || this)", false},
    {"kl_p99", "nat/tok", "99th percentile over tokens", false},
    {"top1_agree", "", "same arg-max as dense", false},
    {"selector_recall", "", "of the plan's ideal set", false},
    {"selector_recall_true_k", "", "of all truly active neurons", false},
    {"selector_mass", "", "share of the sum of |h| that was computed", false},
    {"task_n", "", "questions, by task", true},
    {"task_acc", "", "right by the sum of log-likelihoods, or exactly (lambada)", true},
    {"task_acc_err", "", "its binomial error", true},
    {"task_acc_norm", "", "right by log-likelihood per character", true},
    {"task_acc_norm_err", "", "its binomial error", true},
    {"task_ll", "nat", "mean log-likelihood of the right option", true},
    {"task_perplexity", "", "of the continuations (lambada)", true},
    {"plan_share", "", "of the active neurons, by plan and class; none: left out", true},
    {"plan_bytes", "B/tok", "FFN weight bytes of the neurons computed, by plan", true},
    {"plan_uq", "nat", "UQEst: summed entropy over all generated positions, by plan", true},
    {"plan_kl_calib", "nat/tok", "KL(dense || plan) on the text searched on", true},
    {"plan_kl_sum", "nat/tok", "what the search by KL expected of it", true},
    {"plan_kl", "nat/tok", "KL(dense || plan) on other text", true},
    {"plan_kl_p99", "nat/tok", "99th percentile over its tokens", true},
    {"plan_perplexity", "", "on other text, by plan", true},
    {"plan_acc", "", "questions right, by plan and task", true},
    {"plan_acc_err", "", "its binomial error", true},
    {"sim_wall", "s", "real time in which a simulated run was made", false},
    {"sim_accesses_s", "1/s", "wanted neurons simulated in a second of a core", false},
    {"energy", "J/tok", "a decoded token, by component; wall: the whole machine", true},
    {"energy_total", "J/tok", "a decoded token, all components known", false},
    {"energy_err", "J/tok", "how far energy may be off, each way, by its sensor", true},
    {"energy_active", "J/tok", "energy less the idle power", true},
    {"idle_power", "W", "before the run, the model loaded", true},
    {"carbon", "gCO2/tok", "energy times the grid's intensity, and the embodied share",
     false},
    {"carbon_embodied", "gCO2/tok", "the share of making the hardware", false},
};
const size_t m2c_figures_n = M2C_COUNTOF(m2c_figures);

int m2c_figure_put(json_t *figures, const char *name, const char *suffix, double value,
                   enum m2c_how how, const char *source, struct m2c_err *err)
{
    const struct m2c_figure *f = NULL;
    for (size_t i = 0; i < m2c_figures_n && !f; i++) {
        if (strcmp(m2c_figures[i].name, name) == 0)
            f = &m2c_figures[i];
    }
    if (!f || (suffix && !f->per))
        return m2c_fail(err, -EINVAL, "figure '%s'%s%s is not in the table", name,
                        suffix ? "." : "", suffix ? suffix : "");
    if (!isfinite(value))
        how = M2C_UNAVAILABLE;
    char key[96];
    snprintf(key, sizeof key, "%s%s%s", name, suffix ? "." : "", suffix ? suffix : "");
    json_t *v = how == M2C_UNAVAILABLE ? json_null() : json_real(value);
    json_t *o = json_pack("{s:o, s:s, s:s, s:s}", "value", v, "unit", f->unit, "how",
                          m2c_how_name(how), "source", source);
    if (!o || json_object_set_new(figures, key, o) < 0)
        return m2c_fail(err, -ENOMEM, "record: out of memory");
    return 0;
}
