# A toolchain file: cross compilation for 64-bit Arm Linux with Debian's compiler;
# programs run under qemu.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
find_program(WEFT_CROSS_CXX aarch64-linux-gnu-g++)
if(WEFT_CROSS_CXX)
    set(CMAKE_CXX_COMPILER ${WEFT_CROSS_CXX})
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE NEVER)
set(CMAKE_CROSSCOMPILING_EMULATOR
    ${CMAKE_CURRENT_LIST_DIR}/../tests/support/cross/emulate qemu-aarch64 -L /usr/aarch64-linux-gnu)
