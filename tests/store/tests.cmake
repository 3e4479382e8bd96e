lt_test(store kv TIMEOUT 600)
lt_test(store writer)

set(LT_STORE_WORLD ${CMAKE_CURRENT_SOURCE_DIR}/store/world.c)
lt_test(store feed_log SOURCES ${LT_STORE_WORLD})
lt_test(store projection TIMEOUT 300 SOURCES ${LT_STORE_WORLD} ${CMAKE_CURRENT_SOURCE_DIR}/store/history.c)
lt_test(store registry SOURCES ${LT_STORE_WORLD})
lt_test(store catalogue_store SOURCES ${LT_STORE_WORLD})
lt_test(store admit SOURCES ${LT_STORE_WORLD})
