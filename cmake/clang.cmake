# A toolchain file: the newest clang there is, under any of its names.
find_program(WEFT_CLANG NAMES clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 clang REQUIRED)
set(CMAKE_C_COMPILER ${WEFT_CLANG})
