# The words that the CMakeLists.txt of this project are written in.

# wf_module(name SOURCES file... [USES module...])
#
# A folder of the library: its sources, and the folders whose facade header it may
# include (tests/lint/layers.py reads these lines and holds every #include against
# them).
function(wf_module name)
    cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
    list(TRANSFORM arg_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    set_property(GLOBAL APPEND PROPERTY WF_SOURCES ${arg_SOURCES})
endfunction()

# wf_objects(target [DEFINES def...])
#
# All modules, compiled. Position-independent also for the static library, so that it
# may end up in a plug-in: with hidden visibility and the linker's relaxations that
# costs nothing.
function(wf_objects target)
    cmake_parse_arguments(arg "" "" "DEFINES" ${ARGN})
    get_property(sources GLOBAL PROPERTY WF_SOURCES)
    add_library(${target} OBJECT ${sources})
    target_compile_definitions(${target} PUBLIC ${arg_DEFINES})
    target_link_libraries(${target} PRIVATE weft_flags weft_ck)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
endfunction()

# wf_library(target SHARED|STATIC objects OUTPUT name)
function(wf_library target kind objects)
    cmake_parse_arguments(arg "" "OUTPUT" "" ${ARGN})
    add_library(${target} ${kind} $<TARGET_OBJECTS:${objects}>)
    target_include_directories(${target} INTERFACE
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_compile_options(${target} INTERFACE ${weft_probes})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${arg_OUTPUT} LINKER_LANGUAGE C
        ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
    if(kind STREQUAL "SHARED")
        set_target_properties(${target} PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
        target_link_libraries(${target} PRIVATE weft_flags Threads::Threads)
    else()
        target_link_libraries(${target} INTERFACE Threads::Threads)
    endif()
endfunction()

# wf_program(name FOLDER folder SOURCES file... [LIBS lib...])
#
# A program on top of the static library, built into build/<preset>/<folder>.
function(wf_program name)
    cmake_parse_arguments(arg "" "FOLDER" "SOURCES;LIBS" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE weft_flags weft_static ${arg_LIBS})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${arg_FOLDER})
endfunction()
