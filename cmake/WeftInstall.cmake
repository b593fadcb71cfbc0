# cmake --install: headers, both libraries, weft.pc for pkg-config, and a package for
# find_package(weft CONFIG), which gives weft::weft (shared) and weft::static.
include(CMakePackageConfigHelpers)

set_target_properties(weft PROPERTIES EXPORT_NAME weft)
set_target_properties(weft_static PROPERTIES EXPORT_NAME static)
add_library(weft::weft ALIAS weft)
add_library(weft::static ALIAS weft_static)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weft)
configure_file(cmake/weft.pc.in weft.pc @ONLY)
configure_package_config_file(cmake/weftConfig.cmake.in weftConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(weftConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS weft weft_static EXPORT weftTargets)
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT weftTargets NAMESPACE weft:: DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/weftConfig.cmake ${PROJECT_BINARY_DIR}/weftConfigVersion.cmake
    DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# gdb's commands: once to be sourced (a program linked with the static library has no
# name that gdb would know), and where gdb looks for the script that goes with the
# library: under its own folder by the library's path. The prefix is known when it is
# installed.
install(FILES extra/gdb/weft-gdb.py DESTINATION ${CMAKE_INSTALL_DATADIR}/weft)
install(PROGRAMS extra/bpftrace/weft-runqlat.bt extra/bpftrace/weft-turns.bt extra/bpftrace/weft-wakes.bt
    DESTINATION ${CMAKE_INSTALL_DATADIR}/weft)
install(CODE "
    get_filename_component(library \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}\" ABSOLUTE)
    file(INSTALL \"${PROJECT_SOURCE_DIR}/extra/gdb/weft-gdb.py\" TYPE FILE
        DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/gdb/auto-load\${library}\"
        RENAME \"$<TARGET_FILE_NAME:weft>-gdb.py\")")
