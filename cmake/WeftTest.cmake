# wf_test(group/name [TIMEOUT seconds] [FULL] [NATIVE] [WORKERS n...] [SOURCES file...]
# [LIBS lib...])
#
# A test program, tests/<group>/<name>.c or .cpp, on tests/support/harness.h; ctest
# knows it by its group's label. One in C++ is left out where there is no C++ compiler.
#
#   unit           one structure at a time, on the library compiled with queues of 4
#                  slots and fault injection
#   integration    the public interface, and
#   stress         many threads, seeded: both run on the library as it is shipped, with
#                  each number of WORKERS (1, 2 and 8), and once more on 4-slot queues,
#                  where every wake takes a task to another worker
#
# FULL: not part of `scripts/test --quick`. NATIVE: not under an emulator or valgrind.
# TIMEOUT: how long it may take on a quiet machine, ten times what it does take. A busy
# machine gets WEFT_TEST_PATIENCE times that: the bound is there to end a hang, and no
# test fails because others have the CPUs.
set(WEFT_TEST_PATIENCE 5)

function(wf_test test)
    cmake_parse_arguments(arg "FULL;NATIVE" "TIMEOUT" "WORKERS;SOURCES;LIBS" ${ARGN})
    get_filename_component(group ${test} DIRECTORY)
    get_filename_component(name ${test} NAME)
    if(arg_NATIVE AND WEFT_TEST_LAUNCHER)
        return()
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 30)
    endif()
    if(NOT arg_WORKERS)
        set(arg_WORKERS 1 2 8)
    endif()
    set(source ${test}.c)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${test}.cpp)
        if(NOT CMAKE_CXX_COMPILER)
            return()
        endif()
        set(source ${test}.cpp)
    endif()
    set(labels ${group})
    if(arg_FULL)
        list(APPEND labels full)
    endif()

    if(group STREQUAL "unit")
        wf_test_program(${name} weft_small ${source} ${arg_SOURCES} LIBS ${arg_LIBS})
        wf_test_case(${test} ${name} ${arg_TIMEOUT} "${labels}")
        return()
    endif()
    wf_test_program(${name} weft_static ${source} ${arg_SOURCES} LIBS ${arg_LIBS})
    foreach(n ${arg_WORKERS})
        wf_test_case(${test}.w${n} ${name} ${arg_TIMEOUT} "${labels}" WEFT_WORKERS=${n})
    endforeach()
    wf_test_program(${name}.slots4 weft_small ${source} ${arg_SOURCES} LIBS ${arg_LIBS})
    wf_test_case(${test}.slots4 ${name}.slots4 ${arg_TIMEOUT} "${labels};full" WEFT_WORKERS=2 WEFT_SCATTER=1)
endfunction()

# wf_test_program(target library source... [LIBS lib...])
#
# What the sources WRAP (tests/support/wrap.h) the linker wraps.
function(wf_test_program target library)
    cmake_parse_arguments(arg "" "" "LIBS" ${ARGN})
    add_executable(${target} ${arg_UNPARSED_ARGUMENTS})
    target_link_libraries(${target} PRIVATE weft_flags weft_harness ${library} ${arg_LIBS})
    foreach(source IN LISTS arg_UNPARSED_ARGUMENTS)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
        file(STRINGS ${source} wraps REGEX "^WRAP\\(")
        foreach(wrap IN LISTS wraps)
            string(REGEX REPLACE "^WRAP\\([^,]+, ([a-z0-9_]+),.*" "-Wl,--wrap=wf_sys_\\1" option "${wrap}")
            target_link_options(${target} PRIVATE ${option})
        endforeach()
    endforeach()
endfunction()

# wf_test_case(test target timeout labels [VARIABLE=value...])
function(wf_test_case test target timeout labels)
    math(EXPR timeout "${timeout} * ${WEFT_TEST_SLOWNESS} * ${WEFT_TEST_PATIENCE}")
    math(EXPR scale "100 / ${WEFT_TEST_SLOWNESS}")
    add_test(NAME ${test} COMMAND ${WEFT_TEST_LAUNCHER} $<TARGET_FILE:${target}>)
    set_tests_properties(${test} PROPERTIES TIMEOUT ${timeout} LABELS "${labels}"
        ENVIRONMENT "WEFT_TEST_TIMEOUT=${timeout};WEFT_TEST_SCALE=${scale};${ARGN};${WEFT_TEST_ENVIRONMENT}")
endfunction()

# wf_check(name timeout labels command...)
#
# A test that is a script: it looks at the tree, or at what was built.
function(wf_check name timeout labels)
    math(EXPR timeout "${timeout} * ${WEFT_TEST_PATIENCE}")
    add_test(NAME ${name} COMMAND ${ARGN})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout} LABELS "${labels}"
        ENVIRONMENT "${WEFT_TEST_ENVIRONMENT}")
endfunction()
