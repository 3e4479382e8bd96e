add_library(lt_test_hub STATIC hub/hub_fixture.c)
target_link_libraries(lt_test_hub PUBLIC lt_tests_federation PkgConfig::CMOCKA PRIVATE lt_build)
foreach(name fresh enrol manual project pull)
  lt_test(hub ${name} LIBS lt_test_hub TIMEOUT 120)
  set_tests_properties(hub.${name} PROPERTIES
    ENVIRONMENT "TSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/tsan.supp")
endforeach()
lt_test(hub golden LIBS lt_test_hub TIMEOUT 120 SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/lib/golden.c)
set_tests_properties(hub.golden PROPERTIES
  ENVIRONMENT "TSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/tsan.supp")
