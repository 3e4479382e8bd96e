lt_test(tools gen LIBS lt_node)
