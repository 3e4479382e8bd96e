add_executable(proof_flip ${CMAKE_CURRENT_SOURCE_DIR}/proof/proof_flip.c)
target_link_libraries(proof_flip PRIVATE lt_feed lt_build)
add_test(NAME proof.e2e COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/proof/proof_e2e.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
set_tests_properties(proof.e2e PROPERTIES LABELS proof TIMEOUT 300)
