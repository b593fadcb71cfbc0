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
