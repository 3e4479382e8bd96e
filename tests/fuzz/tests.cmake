# Fuzz targets (tests/fuzz): with LT_FUZZ linked to libFuzzer and gathered in the target lt_fuzz; in every other build linked to
# a main that replays the kept inputs, as ctest "fuzz.<name>".
set(LT_FUZZ_TARGETS wire frame line changeset opening catalogue csv jsonl invitation config trust
  identity zstd backup audit)
set(fuzz ${CMAKE_CURRENT_SOURCE_DIR}/fuzz)
add_library(lt_test_fuzz STATIC ${fuzz}/lib/fuzz.c ${fuzz}/lib/protobuf.c ${fuzz}/lib/changeset.c
  ${fuzz}/lib/sample.c ${fuzz}/lib/import.c ${fuzz}/lib/ways.c)
target_link_libraries(lt_test_fuzz PUBLIC lt_node PRIVATE lt_build)
target_compile_definitions(lt_test_fuzz PRIVATE LT_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
if(LT_FUZZ)
  add_custom_target(lt_fuzz)
else()
  add_library(lt_test_fuzz_replay OBJECT ${fuzz}/lib/replay.c)
  target_link_libraries(lt_test_fuzz_replay PRIVATE lt_test_fuzz lt_build)
endif()

function(lt_fuzz_target name)
  add_executable(fuzz_${name} ${fuzz}/fuzz_${name}.c ${ARGN})
  target_link_libraries(fuzz_${name} PRIVATE lt_test_fuzz lt_build)
  if(LT_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(lt_fuzz fuzz_${name})
    return()
  endif()
  target_link_libraries(fuzz_${name} PRIVATE lt_test_fuzz_replay)
  add_test(NAME fuzz.${name} COMMAND fuzz_${name} ${fuzz}/corpus/${name} ${fuzz}/regress/${name})
  set_tests_properties(fuzz.${name} PROPERTIES TIMEOUT 120 LABELS fuzz)
endfunction()
foreach(name ${LT_FUZZ_TARGETS})
  lt_fuzz_target(${name})
endforeach()
lt_fuzz_target(json)
target_link_libraries(fuzz_json PRIVATE lt_test_kinds)
lt_fuzz_target(proof ${fuzz}/lib/proof.c)
target_link_libraries(fuzz_zstd PRIVATE lt_rpc PkgConfig::ZSTD)
# Without network and threads: net.c has the names of nng and of the pool, which then are not taken from the libraries.
foreach(name rpc_server rpc_client)
  lt_fuzz_target(${name} ${fuzz}/lib/net.c)
endforeach()
# Over hubs and nodes without threads, in memory, with a catalogue of one collection.
set(small ${CMAKE_BINARY_DIR}/fuzz-data/catalogue.json)
add_custom_command(OUTPUT ${small}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/fuzz-data
  COMMAND ${LT_PYTHON} ${fuzz}/small_catalogue.py ${CMAKE_SOURCE_DIR}/proto/data/catalogue.json ${small}
  DEPENDS ${fuzz}/small_catalogue.py ${CMAKE_SOURCE_DIR}/proto/data/catalogue.json VERBATIM)
add_custom_target(lt_fuzz_data DEPENDS ${small})
set(lib ${CMAKE_CURRENT_SOURCE_DIR}/lib)
add_library(lt_test_fuzz_world STATIC ${fuzz}/lib/world.c ${lib}/federation.c ${lib}/peer.c ${lib}/random.c ${lib}/memfed.c)
target_link_libraries(lt_test_fuzz_world PUBLIC lt_test_fuzz lt_hub PkgConfig::CMOCKA PRIVATE lt_build)
target_compile_definitions(lt_test_fuzz_world PRIVATE LT_PROTO_DATA="${CMAKE_BINARY_DIR}/fuzz-data")
add_dependencies(lt_test_fuzz_world lt_fuzz_data)
foreach(name store sync)
  lt_fuzz_target(${name})
  target_link_libraries(fuzz_${name} PRIVATE lt_test_fuzz_world)
endforeach()

lt_fuzz_target(query)
target_link_libraries(fuzz_query PRIVATE lt_test_query_model)

# Must be found: tools/fuzz.sh --self-test.
if(LT_FUZZ)
  add_executable(fuzz_selftest ${fuzz}/fuzz_changeset.c)
  target_compile_definitions(fuzz_selftest PRIVATE LT_FUZZ_SELFTEST=1)
  target_link_libraries(fuzz_selftest PRIVATE lt_test_fuzz lt_build)
  target_link_options(fuzz_selftest PRIVATE -fsanitize=fuzzer)
  add_dependencies(lt_fuzz fuzz_selftest)
endif()

# Writes first inputs; see its head.
add_executable(fuzz_seeds ${fuzz}/seeds.c)
target_link_libraries(fuzz_seeds PRIVATE lt_test_fuzz_world lt_build)
if(LT_FUZZ)
  add_dependencies(lt_fuzz fuzz_seeds)
endif()
foreach(name registry erasures)
  lt_fuzz_target(${name})
  target_link_libraries(fuzz_${name} PRIVATE lt_test_store_world)
endforeach()
