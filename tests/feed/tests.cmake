lt_test(feed crypto)
lt_test(feed changeset SOURCES feed/sample.c)
