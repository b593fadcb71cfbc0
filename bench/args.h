// A command line as a table: what argp parses goes into the fields of a struct.
#ifndef BENCH_ARGS_H
#define BENCH_ARGS_H

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

enum arg_kind { ARG_FLAG, ARG_COUNT, ARG_REAL, ARG_TEXT }; // a bool, unsigned, double, const char *

// Where the argument of the option `key` goes. Numbers are from `min` to `max`.
struct arg {
    int key;
    enum arg_kind kind;
    size_t offset;
    double min, max;
};

// parse_number reads a number that ends where `text` ends; it prints and exits on
// anything else.
static inline double parse_number(struct argp_state *state, const char *name, const char *text, const struct arg *a)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < a->min || value > a->max ||
        (a->kind == ARG_COUNT && value != (double)(unsigned)value))
        argp_error(state, "--%s %s: not a number from %.10g to %.10g", name, text, a->min, a->max);
    return value;
}

// args_store is called by an argp parser, and stores the value of the option `key` as the
// entry of `args` with that key says. Both tables end with a key of 0.
static inline error_t args_store(const struct argp_option *options, const struct arg *args, int key, const char *text,
                                 struct argp_state *state)
{
    while (args->key && args->key != key)
        args++;
    if (!args->key)
        return ARGP_ERR_UNKNOWN;
    while (options->key != key)
        options++;
    void *field = (char *)state->input + args->offset;
    switch (args->kind) {
    case ARG_FLAG:
        *(bool *)field = true;
        break;
    case ARG_COUNT:
        *(unsigned *)field = (unsigned)parse_number(state, options->name, text, args);
        break;
    case ARG_REAL:
        *(double *)field = parse_number(state, options->name, text, args);
        break;
    case ARG_TEXT:
        *(const char **)field = text;
        break;
    }
    return 0;
}

#endif
