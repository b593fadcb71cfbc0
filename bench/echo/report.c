#include "bench/echo/load.h"

#include <cjson/cJSON.h>
#include <gsl/gsl_sort_float.h>
#include <gsl/gsl_statistics_float.h>
#include <math.h>
#include <stdio.h>

static const struct {
    const char *name;
    double percentile;
} percentiles[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 }, { "p999", 99.9 }, { "p9999", 99.99 } };

// Tenths of a microsecond are as fine as the clock is good.
static double microseconds(double ns)
{
    return round(ns / 100) / 10;
}

// The latency below which a part (0 to 1) of sorted samples lies.
static double quantile(const struct samples *s, double part)
{
    return microseconds(gsl_stats_float_quantile_from_sorted_data(s->ns, 1, s->count, part));
}

static cJSON *describe_samples(const struct samples *s)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "count", (double)s->count);
    if (s->count == 0)
        return o;
    cJSON_AddNumberToObject(o, "mean", microseconds(gsl_stats_float_mean(s->ns, 1, s->count)));
    cJSON_AddNumberToObject(o, "min", quantile(s, 0));
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
        cJSON_AddNumberToObject(o, percentiles[i].name, quantile(s, percentiles[i].percentile / 100));
    cJSON_AddNumberToObject(o, "max", quantile(s, 1));
    return o;
}

// The curve for a plot: pairs of a percentile and the latency below which so many per
// cent lie, closer and closer to 100: ten points for each further nine.
static cJSON *describe_curve(const struct samples *s)
{
    cJSON *curve = cJSON_CreateArray();
    for (int i = 0; s->count > 0 && i <= 50; i++) {
        double above = pow(10, -i / 10.0);
        double point[2] = { 100 * (1 - above), quantile(s, 1 - above) };
        cJSON_AddItemToArray(curve, cJSON_CreateDoubleArray(point, 2));
    }
    return curve;
}

static cJSON *describe_usage(const struct usage u[2], double messages)
{
    cJSON *o = cJSON_CreateObject();
    double cpu_ns = (double)(u[1].cpu_ns - u[0].cpu_ns);
    double voluntary = (double)(u[1].voluntary - u[0].voluntary);
    double involuntary = (double)(u[1].involuntary - u[0].involuntary);
    cJSON_AddNumberToObject(o, "cpu_s", cpu_ns / 1e9);
    cJSON_AddNumberToObject(o, "threads", (double)u[1].threads);
    cJSON_AddNumberToObject(o, "voluntary_switches", voluntary);
    cJSON_AddNumberToObject(o, "involuntary_switches", involuntary);
    if (messages > 0) {
        cJSON_AddNumberToObject(o, "cpu_us_per_message", cpu_ns / 1e3 / messages);
        cJSON_AddNumberToObject(o, "switches_per_message", (voluntary + involuntary) / messages);
    }
    return o;
}

static cJSON *describe_memory(const struct load *l)
{
    static const char *const moments[] = { "before", "connected", "end" };
    cJSON *o = cJSON_CreateObject();
    for (int i = 0; i < 3; i++) {
        cJSON *m = cJSON_AddObjectToObject(o, moments[i]);
        cJSON_AddNumberToObject(m, "rss_kib", (double)l->memory[i].rss_kib);
        cJSON_AddNumberToObject(m, "page_tables_kib", (double)l->memory[i].page_tables_kib);
    }
    return o;
}

static cJSON *describe_syscalls(const struct load *l)
{
    cJSON *o = cJSON_CreateObject();
    for (unsigned k = 0; k < l->counter.kinds; k++)
        cJSON_AddNumberToObject(o, l->counter.name[k], (double)(l->syscalls[1][k] - l->syscalls[0][k]));
    return o;
}

static cJSON *describe_burst(const struct load *l)
{
    cJSON *o = describe_samples(&l->burst);
    cJSON_AddNumberToObject(o, "connections", l->opt->burst);
    if (l->burst.count > 0)
        cJSON_AddNumberToObject(o, "first", microseconds((double)l->first_burst_ns));
    return o;
}

static cJSON *describe_neighbours(const struct load *l, double seconds)
{
    cJSON *o = cJSON_CreateObject();
    double done = (double)(l->counted[1] - l->counted[0]);
    cJSON_AddNumberToObject(o, "done", done);
    if (seconds > 0)
        cJSON_AddNumberToObject(o, "per_s", done / seconds);
    return o;
}

static void add_settings(cJSON *o, const struct options *opt)
{
    const char *mode = opt->churn ? "churn" : opt->rate > 0 ? "rate" : "closed";
    cJSON_AddStringToObject(o, "mode", mode);
    cJSON_AddNumberToObject(o, "connections", opt->connections);
    cJSON_AddNumberToObject(o, "idle", opt->idle);
    cJSON_AddNumberToObject(o, "size", (double)opt->size);
    cJSON_AddNumberToObject(o, "depth", opt->depth);
    if (opt->rate > 0)
        cJSON_AddNumberToObject(o, "rate", opt->rate);
}

static void add_results(cJSON *o, const struct load *l)
{
    double seconds = l->window_to_ns ? (double)(l->window_to_ns - l->window_from_ns) / 1e9 : 0;
    double messages = (double)l->messages;
    cJSON_AddNumberToObject(o, "seconds", seconds);
    cJSON_AddNumberToObject(o, "messages", messages);
    cJSON_AddNumberToObject(o, "messages_total", (double)l->messages_total);
    if (seconds > 0)
        cJSON_AddNumberToObject(o, "messages_per_s", messages / seconds);
    cJSON_AddItemToObject(o, "latency_us", describe_samples(&l->latency));
    cJSON_AddItemToObject(o, "latency_curve", describe_curve(&l->latency));
    if (l->opt->rate > 0)
        cJSON_AddItemToObject(o, "late_us", describe_samples(&l->late));

    if (l->opt->burst > 0)
        cJSON_AddItemToObject(o, "burst_us", describe_burst(l));
    if (l->opt->counters)
        cJSON_AddItemToObject(o, "neighbours", describe_neighbours(l, seconds));
    cJSON *client = describe_usage(l->self, messages);
    cJSON_AddNumberToObject(client, "epoll_waits", (double)l->waits);
    cJSON_AddItemToObject(o, "client", client);
    if (l->opt->server) {
        cJSON_AddItemToObject(o, "server", describe_usage(l->server, messages));
        cJSON_AddItemToObject(o, "memory", describe_memory(l));
    }
    if (l->opt->count_syscalls)
        cJSON_AddItemToObject(o, "syscalls", describe_syscalls(l));
}

static void sort_samples(struct samples *s)
{
    gsl_sort_float(s->ns, 1, s->count);
}

int report_print(struct load *l)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "ok", l->error[0] == 0);
    if (l->error[0])
        cJSON_AddStringToObject(o, "error", l->error);
    cJSON_AddBoolToObject(o, "interrupted", l->interrupted);
    add_settings(o, l->opt);
    if (l->latency.ns && l->late.ns && l->burst.ns) {
        sort_samples(&l->latency);
        sort_samples(&l->late);
        sort_samples(&l->burst);
        add_results(o, l);
    }
    char *text = cJSON_Print(o);
    if (text)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(o);
    return text && fflush(stdout) == 0 ? 0 : -1;
}
