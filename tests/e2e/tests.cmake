add_library(lt_tests_federation STATIC ${CMAKE_CURRENT_SOURCE_DIR}/lib/federation.c
  ${CMAKE_CURRENT_SOURCE_DIR}/lib/peer.c)
target_link_libraries(lt_tests_federation PUBLIC lt_hub lt_node PRIVATE lt_build PkgConfig::CMOCKA)
target_compile_definitions(lt_tests_federation PRIVATE LT_PROTO_DATA="${CMAKE_SOURCE_DIR}/proto/data")
add_library(lt_e2e INTERFACE)
target_link_libraries(lt_e2e INTERFACE lt_tests_federation)
# libnng is not instrumented: what it synchronises inside looks like a race to TSan.
function(lt_e2e_test name)
  lt_test(e2e ${name} ${ARGN} TIMEOUT 240)
  set_tests_properties(e2e.${name} PROPERTIES
    ENVIRONMENT "TSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/tsan.supp")
endfunction()
lt_e2e_test(federation)
lt_e2e_test(access_matrix)
lt_e2e_test(hub)
lt_e2e_test(intake)
lt_e2e_test(bad_input LIBS lt_test_rpc)
