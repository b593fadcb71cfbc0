// A folder for each test, which is its working directory.
#ifndef WF_TESTS_FOLDER_H
#define WF_TESTS_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/harness.h"

static char folder[64];

// folder_enter makes one in `where`, and goes there. Returns: 0.
static inline int folder_enter(const char *where)
{
    snprintf(folder, sizeof(folder), "%s/weft-test-XXXXXX", where);
    assert_non_null(mkdtemp(folder));
    return chdir(folder);
}

// folder_leave removes it, with what is in it: a teardown of cmocka's.
static inline int folder_leave(void **state)
{
    char command[96];
    (void)state;

    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

#endif
