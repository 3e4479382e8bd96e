lt_test(model change)
lt_test(model value)
lt_test(model catalogue)
lt_test(model validate)
lt_test(model pattern)

# Merge against its definition: random histories from a reference in Python.
add_executable(merge_harness model/merge_harness.c)
target_link_libraries(merge_harness PRIVATE lt_store lt_model lt_build)
add_test(NAME model.merge_histories
  COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/model/merge_reference.py $<TARGET_FILE:merge_harness>)
set_tests_properties(model.merge_histories PROPERTIES TIMEOUT 600 LABELS model)

# The same files with the planted bugs: each must be found.
add_executable(merge_harness_bugs model/merge_harness.c)
foreach(f cover merge row row_query show)
  target_sources(merge_harness_bugs PRIVATE ${CMAKE_SOURCE_DIR}/proto/model/${f}.c)
endforeach()
target_compile_definitions(merge_harness_bugs PRIVATE LT_MERGE_BUGS=1)
target_link_libraries(merge_harness_bugs PRIVATE lt_store lt_model lt_build)
add_test(NAME model.merge_bugs
  COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/model/merge_reference.py
    $<TARGET_FILE:merge_harness_bugs> --bugs)
set_tests_properties(model.merge_bugs PROPERTIES TIMEOUT 600 LABELS model)
lt_test(model merge SOURCES model/merge_fixture.c)
lt_test(model row SOURCES model/merge_fixture.c)
lt_test(model digest)
lt_test(model plain)
