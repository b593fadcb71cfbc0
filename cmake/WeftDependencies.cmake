# What weft needs from others: POSIX threads, and the headers of Concurrency Kit.
# Nothing of its library: programs that use weft need no Concurrency Kit at all.
find_package(PkgConfig REQUIRED)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

pkg_check_modules(CK REQUIRED ck)
pkg_get_variable(ck_headers ck includedir)
add_library(weft_ck INTERFACE)

# Debian's headers are right for every processor but for one file, ck_md.h, which
# describes the processor they were packaged for. A cross build gets a copy of them in
# which it says what is safe everywhere: relaxed memory order, no SSE, no knowledge of
# address bits.
if(CMAKE_CROSSCOMPILING)
    set(ck_copy ${PROJECT_BINARY_DIR}/ck)
    file(GLOB ck_files ${ck_headers}/ck_*.h)
    file(COPY ${ck_files} ${ck_headers}/gcc DESTINATION ${ck_copy})
    file(READ ${ck_headers}/ck_md.h ck_md)
    string(REPLACE "CK_MD_TSO" "CK_MD_RMO" ck_md "${ck_md}")
    string(REGEX REPLACE "#define CK_MD_(SSE_ENABLE|VMA_BITS)[^\n]*" "" ck_md "${ck_md}")
    file(WRITE ${ck_copy}/ck_md.h "${ck_md}")
    set(ck_headers ${ck_copy})
endif()
target_include_directories(weft_ck SYSTEM INTERFACE ${ck_headers})

# The benchmarks write JSON, and the load generator sorts latencies.
pkg_check_modules(CJSON IMPORTED_TARGET libcjson)
pkg_check_modules(GSL IMPORTED_TARGET gsl)
if(WEFT_BENCH AND NOT (CJSON_FOUND AND GSL_FOUND))
    message(STATUS "Without cJSON and GSL (Debian: libcjson-dev libgsl-dev) the benchmarks are left out.")
    set(WEFT_BENCH OFF)
endif()
