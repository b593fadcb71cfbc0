// Fields of /proc/self/status.
#ifndef WF_TESTS_STATUS_H
#define WF_TESTS_STATUS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/harness.h"

// status_number is the number after `name` (sizes are in KiB); -1: there is no such line.
static inline long status_number(const char *name)
{
    char line[256];
    size_t length = strlen(name);
    long number = -1;
    FILE *f = fopen("/proc/self/status", "re");

    assert_non_null(f);
    while (number < 0 && fgets(line, sizeof(line), f))
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            number = strtol(line + length + 1, NULL, 0); // a umask is octal, and begins with 0
    fclose(f);
    return number;
}

#endif
