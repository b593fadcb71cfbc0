# wf_extra(name DESCRIPTION text SOURCES file... LIBS lib... PC_REQUIRES module...)
#
# An add-on library in this folder, with its headers in include/: libweft-<name>, shared
# and static; weft-<name>.pc; the component <name> of the package, with the targets
# weft::<name> and weft::<name>_static. Inside, tests that are linked with another
# build of weft use the objects, weft_<name>_objects.
function(wf_extra name)
    cmake_parse_arguments(arg "" "DESCRIPTION" "SOURCES;LIBS;PC_REQUIRES" ${ARGN})
    set(headers $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>)

    add_library(weft_${name}_objects OBJECT ${arg_SOURCES})
    target_include_directories(weft_${name}_objects PUBLIC include)
    target_link_libraries(weft_${name}_objects PRIVATE weft_flags PUBLIC ${arg_LIBS})
    set_target_properties(weft_${name}_objects PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)

    wf_library(weft_${name} SHARED weft_${name}_objects OUTPUT weft-${name})
    wf_library(weft_${name}_static STATIC weft_${name}_objects OUTPUT weft-${name})
    target_link_libraries(weft_${name} PUBLIC weft ${arg_LIBS})
    target_link_libraries(weft_${name}_static INTERFACE weft_static ${arg_LIBS})
    target_include_directories(weft_${name} INTERFACE ${headers})
    target_include_directories(weft_${name}_static INTERFACE ${headers})
    set_target_properties(weft_${name} PROPERTIES EXPORT_NAME ${name})
    set_target_properties(weft_${name}_static PROPERTIES EXPORT_NAME ${name}_static)

    list(JOIN arg_PC_REQUIRES " " requires)
    set(description ${arg_DESCRIPTION})
    configure_file(${PROJECT_SOURCE_DIR}/cmake/weft-extra.pc.in ${PROJECT_BINARY_DIR}/weft-${name}.pc @ONLY)
    install(TARGETS weft_${name} weft_${name}_static EXPORT weft-${name}-targets)
    install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
    install(EXPORT weft-${name}-targets NAMESPACE weft:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weft)
    install(FILES ${PROJECT_BINARY_DIR}/weft-${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
