lt_test(tools gen LIBS lt_node TIMEOUT 180)
lt_test(tools ctl LIBS lt_ctl)
add_test(NAME tools.ltctl COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/tools/ltctl_e2e.py
  ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} ${CMAKE_SOURCE_DIR})
# A daemon that knows more than ltctl, and one that knows less.
add_executable(rpc_newer tools/rpc_newer.c)
target_link_libraries(rpc_newer PRIVATE lt_rpc lt_test_kinds lt_build)
set_tests_properties(tools.ltctl PROPERTIES LABELS tools TIMEOUT 180)
if(LT_SANITIZE)
  set_tests_properties(tools.ltctl PROPERTIES TIMEOUT 900)
endif()
add_test(NAME tools.installed COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/tools/installed.py
  ${CMAKE_BINARY_DIR} ${CMAKE_COMMAND})
set_tests_properties(tools.installed PROPERTIES LABELS tools TIMEOUT 300)
add_test(NAME tools.golden_receipts COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/tools/golden_receipts.py
  ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} ${CMAKE_SOURCE_DIR})
set_tests_properties(tools.golden_receipts PROPERTIES LABELS tools TIMEOUT 120)
lt_test(tools bench LIBS lt_bench)
add_test(NAME tools.lt-bench COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/tools/bench_e2e.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
set_tests_properties(tools.lt-bench PROPERTIES LABELS tools TIMEOUT 300)
