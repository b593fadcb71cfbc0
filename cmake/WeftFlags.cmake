# weft_flags: how every file of this project is compiled. Programs that use the library
# get one flag of it: weft_probes.
add_library(weft_flags INTERFACE)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
target_compile_definitions(weft_flags INTERFACE _GNU_SOURCE)
target_include_directories(weft_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)

# weft_probes: what programs are to be compiled with, too. A frame larger than the guard
# below a task's stack must not reach past it: its function touches each page on the way
# down. Compilers that lack it, or would warn of it, are left out: clang has it since
# 11, for aarch64 since 18.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    set(probes_clang 11)
else()
    set(probes_clang 18)
endif()
set(weft_probes)
foreach(lang C CXX)
    list(APPEND weft_probes "$<$<COMPILE_LANG_AND_ID:${lang},GNU>:-fstack-clash-protection>")
    string(CONCAT probed "$<AND:$<COMPILE_LANG_AND_ID:${lang},Clang>,"
        "$<VERSION_GREATER_EQUAL:$<${lang}_COMPILER_VERSION>,${probes_clang}>>")
    list(APPEND weft_probes "$<${probed}:-fstack-clash-protection>")
endforeach()

set(flags
    -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wno-sign-conversion
    -fstack-clash-protection    # as weft_probes
    -ftls-model=initial-exec    # one instruction to the current worker, also in the shared library
    -fno-plt)                   # with -z now: no lazy binding, whose first call takes more stack than may be left
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    list(APPEND flags -mno-red-zone) # sched/arch/context.h pushes
endif()
if(WEFT_WERROR)
    list(APPEND flags -Werror)
endif()
target_link_options(weft_flags INTERFACE -Wl,-z,now)

if(WEFT_CHECKS)
    target_compile_definitions(weft_flags INTERFACE WF_DEBUG)
endif()
if(WEFT_FAULTS)
    target_compile_definitions(weft_flags INTERFACE WF_FAULTS)
endif()
if(WEFT_VALGRIND)
    target_compile_definitions(weft_flags INTERFACE WF_VALGRIND)
endif()

if(WEFT_SANITIZE STREQUAL "address")
    set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
elseif(WEFT_SANITIZE STREQUAL "thread")
    set(sanitize -fsanitize=thread -fno-omit-frame-pointer)
    # Concurrency Kit is inline assembly, which ThreadSanitizer cannot see: the ck_pr.h
    # in this folder makes it visible.
    target_include_directories(weft_flags BEFORE INTERFACE ${PROJECT_SOURCE_DIR}/tests/support/tsan)
    if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
        list(APPEND flags -mcx16)
    endif()
elseif(WEFT_SANITIZE)
    message(FATAL_ERROR "WEFT_SANITIZE is '${WEFT_SANITIZE}': it must be empty, address or thread.")
endif()
target_compile_options(weft_flags INTERFACE "$<$<COMPILE_LANGUAGE:C>:${flags};${sanitize}>")
list(REMOVE_ITEM flags -Wstrict-prototypes -Wmissing-prototypes)
target_compile_options(weft_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${flags};${sanitize}>") # of tests
target_link_options(weft_flags INTERFACE ${sanitize})

# Probes for perf and bpftrace (sched/event.h).
include(CheckIncludeFile)
check_include_file(sys/sdt.h WEFT_HAS_SDT)
if(WEFT_PROBES AND WEFT_HAS_SDT)
    target_compile_definitions(weft_flags INTERFACE WF_PROBES)
elseif(WEFT_PROBES AND NOT WEFT_PROBES STREQUAL "AUTO")
    message(FATAL_ERROR "WEFT_PROBES is on, and there is no sys/sdt.h (Debian: systemtap-sdt-dev).")
elseif(WEFT_PROBES)
    message(STATUS "Without sys/sdt.h (Debian: systemtap-sdt-dev) probes are left out.")
endif()
