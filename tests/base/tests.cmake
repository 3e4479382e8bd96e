foreach(name assert error buf arena clock ids text file config log secret rate)
  lt_test(base ${name})
endforeach()

set(wire ${CMAKE_BINARY_DIR}/gen/tests/base/wire)
add_custom_command(OUTPUT ${wire}.pb-c.c ${wire}.pb-c.h
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/gen/tests/base
  COMMAND ${PROTOC_C} -I${CMAKE_CURRENT_SOURCE_DIR}/base -I/usr/include
    --c_out=${CMAKE_BINARY_DIR}/gen/tests/base ${CMAKE_CURRENT_SOURCE_DIR}/base/wire.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/base/wire.proto VERBATIM)
add_library(lt_test_wire_gen STATIC ${wire}.pb-c.c)
target_include_directories(lt_test_wire_gen SYSTEM PUBLIC ${CMAKE_BINARY_DIR}/gen)
target_compile_options(lt_test_wire_gen PRIVATE -fPIE)
target_link_libraries(lt_test_wire_gen PUBLIC PkgConfig::PROTOBUFC)
lt_test(base wire LIBS lt_test_wire_gen)
