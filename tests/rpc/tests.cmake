lt_test(rpc status)
lt_test(rpc status_words)
lt_test(rpc noise)
lt_test(rpc frame)
lt_test(rpc golden LIBS lt_test_golden)
lt_test(rpc line)
lt_test(rpc mux)
lt_test(rpc pool)
lt_test(rpc order)
# The streaming service of the tests.
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/echo.pb-c.c ${CMAKE_CURRENT_BINARY_DIR}/echo.pb-c.h
  COMMAND ${PROTOC_C} -I${CMAKE_CURRENT_SOURCE_DIR}/rpc --c_out=${CMAKE_CURRENT_BINARY_DIR}
    ${CMAKE_CURRENT_SOURCE_DIR}/rpc/echo.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/rpc/echo.proto VERBATIM)
add_library(lt_test_echo STATIC ${CMAKE_CURRENT_BINARY_DIR}/echo.pb-c.c)
target_include_directories(lt_test_echo SYSTEM PUBLIC ${CMAKE_CURRENT_BINARY_DIR})
target_compile_options(lt_test_echo PRIVATE -fPIE)
target_link_libraries(lt_test_echo PUBLIC PkgConfig::PROTOBUFC)

add_library(lt_test_rpc STATIC rpc/fixture.c)
target_link_libraries(lt_test_rpc PUBLIC lt_test_echo lt_rpc PkgConfig::CMOCKA PRIVATE lt_build)
lt_test(rpc head LIBS lt_test_rpc TIMEOUT 120)
lt_test(rpc leaks LIBS lt_test_rpc TIMEOUT 180)
lt_test(rpc flood LIBS lt_test_rpc TIMEOUT 120)
lt_test(rpc goaway LIBS lt_test_rpc lt_test_proxy TIMEOUT 120)
lt_test(rpc resume LIBS lt_test_rpc lt_test_proxy TIMEOUT 120)
lt_test(rpc zstd LIBS lt_test_rpc TIMEOUT 120)
lt_test(rpc work LIBS lt_test_rpc TIMEOUT 120)
lt_test(rpc calls LIBS lt_test_rpc TIMEOUT 120)
lt_test(rpc hostile LIBS lt_test_rpc TIMEOUT 120)
lt_test(rpc quota LIBS lt_test_rpc TIMEOUT 120)

# A second implementation talks to ours, in both roles.
add_executable(rpc_peer_server rpc/peer_server.c)
target_link_libraries(rpc_peer_server PRIVATE lt_rpc lt_build)
add_test(NAME rpc.peer COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/rpc/peer.py $<TARGET_FILE:rpc_peer_server>)
set_tests_properties(rpc.peer PROPERTIES TIMEOUT 120 LABELS rpc)

# Every kind of field, for the JSON mapping.
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/kinds.pb-c.c ${CMAKE_CURRENT_BINARY_DIR}/kinds.pb-c.h
  COMMAND ${PROTOC_C} -I${CMAKE_CURRENT_SOURCE_DIR}/rpc --c_out=${CMAKE_CURRENT_BINARY_DIR}
    ${CMAKE_CURRENT_SOURCE_DIR}/rpc/kinds.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/rpc/kinds.proto VERBATIM)
add_library(lt_test_kinds STATIC ${CMAKE_CURRENT_BINARY_DIR}/kinds.pb-c.c)
target_include_directories(lt_test_kinds SYSTEM PUBLIC ${CMAKE_CURRENT_BINARY_DIR})
target_compile_options(lt_test_kinds PRIVATE -fPIE)
target_link_libraries(lt_test_kinds PUBLIC PkgConfig::PROTOBUFC)
lt_test(rpc json LIBS lt_test_kinds)
lt_test(rpc describe LIBS lt_test_kinds)

# The JSON mapping against another implementation of it, over the whole schema.
set(LT_DESCRIPTORS ${CMAKE_CURRENT_BINARY_DIR}/schema.ds)
add_custom_command(OUTPUT ${LT_DESCRIPTORS}
  COMMAND ${PROTOC_C} -I${CMAKE_SOURCE_DIR}/proto -I${CMAKE_CURRENT_SOURCE_DIR}/rpc -I/usr/include --include_imports
    --descriptor_set_out=${LT_DESCRIPTORS} ${LT_PROTO_FILES} ${CMAKE_CURRENT_SOURCE_DIR}/rpc/kinds.proto
  DEPENDS ${LT_PROTO_FILES} ${CMAKE_CURRENT_SOURCE_DIR}/rpc/kinds.proto VERBATIM)
add_executable(rpc_json_peer rpc/json_peer.c ${LT_DESCRIPTORS})
target_link_libraries(rpc_json_peer PRIVATE lt_rpc lt_test_kinds lt_build)
add_test(NAME rpc.json_diff COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/rpc/json_diff.py $<TARGET_FILE:rpc_json_peer>
  ${LT_DESCRIPTORS})
set_tests_properties(rpc.json_diff PROPERTIES TIMEOUT 120 LABELS rpc)
