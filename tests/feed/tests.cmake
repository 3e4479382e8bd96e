lt_test(feed audit)
lt_test(feed crypto)
lt_test(feed hash_many)
lt_test(feed changeset SOURCES feed/sample.c)
lt_test(feed ways LIBS lt_test_fuzz)
lt_test(feed lean SOURCES feed/sample.c LIBS PkgConfig::JANSSON)
lt_test(feed trust SOURCES feed/sample.c)
lt_test(feed invitation_text SOURCES feed/sample.c)
lt_test(feed identity)
lt_test(feed golden SOURCES feed/sample.c LIBS PkgConfig::JANSSON)
# The vectors are what the second implementation makes of FORMAT.md today.
add_test(NAME feed.golden_vectors
  COMMAND ${LT_PYTHON} ${CMAKE_SOURCE_DIR}/tests/vectors/make_golden.py --check)
set_tests_properties(feed.golden_vectors PROPERTIES TIMEOUT 60 LABELS feed)
add_test(NAME feed.words_sound COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/feed/words_sound.py
  ${CMAKE_SOURCE_DIR}/tests/vectors/golden.json)
set_tests_properties(feed.words_sound PROPERTIES TIMEOUT 60 LABELS feed)
lt_test(feed damage SOURCES feed/sample.c)
lt_test(feed proof TIMEOUT 120 LIBS PkgConfig::JANSSON SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/lib/golden.c)
