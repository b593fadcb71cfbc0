#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sys.h"

void (*wf_misuse_namer)(char *buf, size_t n);

// say writes one line to stderr with a single write, so that lines of several threads
// do not mix.
static void say(const char *head, const char *fmt, va_list args)
{
    char line[512];
    int at = snprintf(line, sizeof(line) - 1, "weft: %s", head);
    int more = vsnprintf(line + at, sizeof(line) - 1 - (size_t)at, fmt, args);
    size_t len = (size_t)at + (size_t)(more > 0 ? more : 0);

    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    line[len++] = '\n';
    (void)wf_sys_write(STDERR_FILENO, line, len); // a failure cannot be reported anywhere
}

void wf_panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say("", fmt, args);
    va_end(args);
    abort();
}

static void say_who(const char *fmt, va_list args)
{
    char head[128] = "outside a task: ";

    if (wf_misuse_namer)
        wf_misuse_namer(head, sizeof(head));
    say(head, fmt, args);
}

void wf_complain(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say_who(fmt, args);
    va_end(args);
}

void wf_misuse(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say_who(fmt, args);
    va_end(args);
    abort();
}
