add_executable(proof_flip ${CMAKE_CURRENT_SOURCE_DIR}/proof/proof_flip.c)
target_link_libraries(proof_flip PRIVATE lt_feed lt_build)
add_test(NAME proof.e2e COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/proof/proof_e2e.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
set_tests_properties(proof.e2e PROPERTIES LABELS proof TIMEOUT 300)
add_test(NAME proof.golden COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/proof/golden_check.py)
set_tests_properties(proof.golden PROPERTIES LABELS proof TIMEOUT 60)
# What the fuzzer found of proofs (tests/fuzz/corpus/proof), before the second implementation.
add_executable(proof_says ${CMAKE_CURRENT_SOURCE_DIR}/proof/proof_says.c)
target_link_libraries(proof_says PRIVATE lt_feed lt_build)
add_test(NAME proof.second COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/proof/second.py $<TARGET_FILE:proof_says>
  ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/proof ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/regress/proof)
set_tests_properties(proof.second PROPERTIES LABELS proof TIMEOUT 120)
# Evidence of a fork: made by a copied machine, exported, and altered.
add_test(NAME proof.fork COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/proof/fork_e2e.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
set_tests_properties(proof.fork PROPERTIES LABELS proof TIMEOUT 300)
