lt_test(store kv TIMEOUT 600)
