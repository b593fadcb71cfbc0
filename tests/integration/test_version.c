// The version: of the header, the library, the package.
#include <stdio.h>
#include <weft.h>

#include "tests/support/harness.h"

static void the_library_the_header_and_the_package_have_one_version(void **state)
{
    char text[32];
    (void)state;

    assert_int_equal(weft_version(), WEFT_VERSION);
    snprintf(text, sizeof(text), "%u.%u.%u", WEFT_VERSION >> 16, WEFT_VERSION >> 8 & 0xff, WEFT_VERSION & 0xff);
    assert_string_equal(text, WF_PROJECT_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_library_the_header_and_the_package_have_one_version) };
    return wf_test_run(tests);
}
