lt_test(feed crypto)
lt_test(feed changeset SOURCES feed/sample.c)
lt_test(feed trust SOURCES feed/sample.c)
lt_test(feed identity)
