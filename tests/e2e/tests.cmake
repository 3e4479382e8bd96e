add_library(lt_tests_federation STATIC ${CMAKE_CURRENT_SOURCE_DIR}/lib/federation.c
  ${CMAKE_CURRENT_SOURCE_DIR}/lib/peer.c)
target_link_libraries(lt_tests_federation PUBLIC lt_hub lt_node PRIVATE lt_build PkgConfig::CMOCKA)
target_compile_definitions(lt_tests_federation PRIVATE LT_PROTO_DATA="${CMAKE_SOURCE_DIR}/proto/data")
add_library(lt_e2e INTERFACE)
target_link_libraries(lt_e2e INTERFACE lt_tests_federation)
# libnng is not instrumented: what it synchronises inside looks like a race to TSan.
function(lt_e2e_test name)
  cmake_parse_arguments(E "" "TIMEOUT" "" ${ARGN})
  if(NOT E_TIMEOUT)
    set(E_TIMEOUT 240)
  endif()
  lt_test(e2e ${name} ${E_UNPARSED_ARGUMENTS} TIMEOUT ${E_TIMEOUT})
  set_tests_properties(e2e.${name} PROPERTIES
    ENVIRONMENT "TSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/tsan.supp")
endfunction()
lt_e2e_test(federation)
lt_e2e_test(access_matrix)
lt_e2e_test(hub)
lt_e2e_test(intake)
lt_e2e_test(bad_input LIBS lt_test_rpc)

# What the tests of durability and integrity share: daemons as processes.
add_library(lt_tests_province STATIC ${CMAKE_CURRENT_SOURCE_DIR}/lib/daemon.c
  ${CMAKE_CURRENT_SOURCE_DIR}/lib/province.c ${CMAKE_CURRENT_SOURCE_DIR}/lib/proxy.c)
target_link_libraries(lt_tests_province PUBLIC lt_tests_federation PRIVATE lt_build PkgConfig::CMOCKA)
target_compile_definitions(lt_tests_province PRIVATE LT_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
add_dependencies(lt_tests_province lt-hub lt-node)
lt_e2e_test(kill LIBS lt_tests_province TIMEOUT 600)
lt_e2e_test(durable LIBS lt_tests_province)
target_compile_definitions(test_e2e_durable PRIVATE LT_SYNCLOG_SO="$<TARGET_FILE:lt_synclog>")
add_dependencies(test_e2e_durable lt_synclog)
lt_e2e_test(transit LIBS lt_tests_province TIMEOUT 600)
