lt_test(service feeds LIBS lt_test_store_world)
lt_test(service writing)
