# weft_flags: how every C file of this project is compiled. Nothing of it reaches programs that use the library.
add_library(weft_flags INTERFACE)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
target_compile_definitions(weft_flags INTERFACE _GNU_SOURCE)
target_include_directories(weft_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)

set(flags
    -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wno-sign-conversion
    -fstack-clash-protection    # a frame larger than a page must not jump over a task's guard page
    -ftls-model=initial-exec    # one instruction to the current worker, also in the shared library
    -fno-plt)                   # with -z now: no lazy binding, whose first call takes more stack than may be left
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    list(APPEND flags -mno-red-zone) # sched/context.h pushes
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
    # Concurrency Kit is inline assembly, which ThreadSanitizer cannot see: the ck_pr.h in this folder makes it visible.
    target_include_directories(weft_flags BEFORE INTERFACE ${PROJECT_SOURCE_DIR}/tests/support/tsan)
    if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
        list(APPEND flags -mcx16)
    endif()
elseif(WEFT_SANITIZE)
    message(FATAL_ERROR "WEFT_SANITIZE is '${WEFT_SANITIZE}': it must be empty, address or thread.")
endif()
target_compile_options(weft_flags INTERFACE "$<$<COMPILE_LANGUAGE:C>:${flags};${sanitize}>")
target_link_options(weft_flags INTERFACE ${sanitize})
