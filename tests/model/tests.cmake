lt_test(model change)
lt_test(model value)
