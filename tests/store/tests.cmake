# Preloaded into daemons by tests of durability: see the head of the file.
add_library(lt_synclog MODULE lib/synclog.c)
set_target_properties(lt_synclog PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
target_compile_definitions(lt_synclog PRIVATE _GNU_SOURCE)
target_compile_options(lt_synclog PRIVATE -Wall -Wextra -Wshadow $<$<BOOL:${LT_WERROR}>:-Werror>)
target_link_libraries(lt_synclog PRIVATE ${CMAKE_DL_LIBS})
lt_test(store synclog)
target_compile_definitions(test_store_synclog PRIVATE LT_SYNCLOG_SO="$<TARGET_FILE:lt_synclog>")
add_dependencies(test_store_synclog lt_synclog)

lt_test(store kv TIMEOUT 600)
lt_test(store writer)

set(LT_STORE_WORLD ${CMAKE_CURRENT_SOURCE_DIR}/store/world.c)
lt_test(store feed_log SOURCES ${LT_STORE_WORLD})
lt_test(store projection TIMEOUT 300 SOURCES ${LT_STORE_WORLD} ${CMAKE_CURRENT_SOURCE_DIR}/store/history.c)
lt_test(store registry SOURCES ${LT_STORE_WORLD})
lt_test(store catalogue_store SOURCES ${LT_STORE_WORLD})
lt_test(store admit SOURCES ${LT_STORE_WORLD})
