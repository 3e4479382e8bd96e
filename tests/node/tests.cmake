lt_test(node import_csv)
lt_test(node import_map)
lt_test(node import TIMEOUT 120)
lt_test(node import_units)
