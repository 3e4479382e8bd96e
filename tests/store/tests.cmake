lt_test(store kv TIMEOUT 600)
lt_test(store writer)
