lt_test(node import_csv)
lt_test(node import_map)
