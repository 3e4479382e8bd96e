lt_test(feed crypto)
