lt_test(tools gen LIBS lt_node TIMEOUT 180)
