// A runtime's settings: from the program, else from the environment, else from the
// machine.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <weft/error.h>
#include <weft/time.h>

#include "base/assert.h"
#include "base/cpus.h"
#include "base/sys.h"
#include "runtime/state.h"

enum { STACK_SIZE = 64 << 10, BLOCKING_MAX = 512, BLOCKING_LIMIT = 65536, TRACE_MIN = 64, TRACE_MAX = 1 << 24 };
enum { STALL_MS_MAX = 3600000 };

// The size of weft_config in a program that was compiled with its first fields only.
enum { FIRST_SIZE = offsetof(weft_config, stall_after) };

static int complain(const char *what, const char *value, uint64_t min, uint64_t max)
{
    fprintf(stderr, "weft: %s is '%s': it must be a number from %llu to %llu\n", what, value, (unsigned long long)min,
            (unsigned long long)max);
    return WEFT_BAD_CONFIG;
}

// from_environment reads `name` if it is set. Returns: 0; WEFT_BAD_CONFIG.
static int from_environment(const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
    const char *text = getenv(name);
    char *end;

    if (!text)
        return 0;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || n < min || n > max)
        return complain(name, text, min, max);
    *out = n;
    return 0;
}

// choose takes `given` if it is not zero, else the environment's, else `fallback`.
static int choose(const char *field, const char *name, uint64_t given, uint64_t min, uint64_t max, uint64_t fallback,
                  uint64_t *out)
{
    char text[24];

    wf_debug_assert(min <= max && (fallback == 0 || fallback >= min) && fallback <= max);
    *out = given ? given : fallback;
    if (!given)
        return from_environment(name, min, max, out);
    if (given >= min && given <= max)
        return 0;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)given);
    return complain(field, text, min, max);
}

// --- The machine ---------------------------------------------------------------------

static unsigned default_workers(void)
{
    unsigned n = wf_cpus_usable();
    return n > WF_WORKERS_MAX ? WF_WORKERS_MAX : n;
}

uint64_t wf_config_seed(void)
{
    uint64_t seed = 0;
    if (wf_sys_getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
        seed = (uint64_t)(uintptr_t)&seed; // early in a boot: use the address
    return seed ? seed : 1;
}

// read_sight fills in what shows the runtime from outside.  Returns: 0; WEFT_BAD_CONFIG.
static int read_sight(weft_config *out)
{
    uint64_t events;

    if (choose("weft_config.trace_events", "WEFT_TRACE_EVENTS", out->trace_events, TRACE_MIN, TRACE_MAX, 0, &events))
        return WEFT_BAD_CONFIG;
    out->trace_events = events;
    if (!out->inspect)
        out->inspect = getenv("WEFT_INSPECT");
    return 0;
}

// check_time refuses a time that is less than `min`.  Returns: 0; WEFT_BAD_CONFIG.
static int check_time(const char *field, weft_time given, weft_time min, const char *rule)
{
    if (given == 0 || given >= min)
        return 0;
    fprintf(stderr, "weft: weft_config.%s is '%" PRId64 "': it must not be %s\n", field, given, rule);
    return WEFT_BAD_CONFIG;
}

// read_watchdog fills in stall_after.  Returns: 0; WEFT_BAD_CONFIG.
static int read_watchdog(weft_config *out)
{
    uint64_t ms = 0;

    if (check_time("stall_after", out->stall_after, WEFT_MS(1), "less than a millisecond"))
        return WEFT_BAD_CONFIG;
    if (!out->stall_after && from_environment("WEFT_STALL_MS", 1, STALL_MS_MAX, &ms))
        return WEFT_BAD_CONFIG;
    if (ms)
        out->stall_after = WEFT_MS(ms);
    return 0;
}

int wf_config_read(weft_config *out, const weft_config *given)
{
    uint64_t workers, stack, blocking;
    static const weft_config none = WEFT_CONFIG_INIT;

    if (!given)
        given = &none;
    if (given->size < FIRST_SIZE || given->size > sizeof(weft_config)) {
        fprintf(stderr, "weft: weft_config.size is %zu, not %zu: begin with WEFT_CONFIG_INIT\n", given->size,
                sizeof(weft_config));
        return WEFT_BAD_CONFIG;
    }
    memset(out, 0, sizeof(*out));
    memcpy(out, given, given->size);
    if (check_time("stop_after", out->stop_after, 0, "negative") || read_watchdog(out))
        return WEFT_BAD_CONFIG;
    if (choose("weft_config.workers", "WEFT_WORKERS", given->workers, 1, WF_WORKERS_MAX, default_workers(), &workers) ||
        choose("weft_config.stack_size", "WEFT_STACK_SIZE", given->stack_size, (uint64_t)1 << WF_STACK_CLASS_MIN,
               (uint64_t)1 << WF_STACK_CLASS_MAX, STACK_SIZE, &stack) ||
        choose("weft_config.blocking_max", "WEFT_BLOCKING_MAX", given->blocking_max, 1, BLOCKING_LIMIT, BLOCKING_MAX,
               &blocking) ||
        read_sight(out))
        return WEFT_BAD_CONFIG;
    out->workers = (unsigned)workers;
    out->stack_size = stack;
    out->blocking_max = (unsigned)blocking;
    wf_debug_assert(out->workers > 0 && out->workers <= WF_WORKERS_MAX && out->blocking_max > 0);
    if (!out->seed)
        out->seed = wf_config_seed();
    if (!out->name)
        out->name = "weft";
    return 0;
}

unsigned weft_version(void)
{
    return WEFT_VERSION;
}
