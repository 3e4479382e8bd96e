add_library(lt_tests_federation STATIC ${CMAKE_CURRENT_SOURCE_DIR}/lib/federation.c)
target_link_libraries(lt_tests_federation PUBLIC lt_hub lt_node PRIVATE lt_build PkgConfig::CMOCKA)
target_compile_definitions(lt_tests_federation PRIVATE LT_PROTO_DATA="${CMAKE_SOURCE_DIR}/proto/data")
add_executable(test_e2e_federation e2e/test_federation.c)
target_link_libraries(test_e2e_federation PRIVATE lt_tests_federation lt_build PkgConfig::CMOCKA)
add_test(NAME e2e.federation COMMAND test_e2e_federation)
set_tests_properties(e2e.federation PROPERTIES TIMEOUT 240 LABELS e2e)
# libnng is not instrumented: what it synchronises inside looks like a race to TSan.
set_tests_properties(e2e.federation PROPERTIES
  ENVIRONMENT "TSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/tsan.supp")
