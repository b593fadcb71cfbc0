# A toolchain file: the newest clang there is, under any of its names.
find_program(WEFT_CLANG NAMES clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 clang REQUIRED)
set(CMAKE_C_COMPILER ${WEFT_CLANG})
string(REPLACE clang clang++ cxx ${WEFT_CLANG})
if(EXISTS ${cxx})
    set(CMAKE_CXX_COMPILER ${cxx})
endif()
