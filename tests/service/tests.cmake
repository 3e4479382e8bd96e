lt_test(service feeds SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/store/world.c)
lt_test(service writing)
