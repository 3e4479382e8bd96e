# A million questions to the decision of access, answered as well by a reference in Python: the whole of it in a plain build, a
# small share under a sanitizer, where rules cannot each have decided as often.
add_executable(lt-access access/main.c)
target_link_libraries(lt-access PRIVATE lt_rpc lt_store lt_build)
set(LT_ACCESS_RUN ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/access/model_test.py)
if(LT_SANITIZE)
  add_test(NAME access.model COMMAND ${LT_ACCESS_RUN} --requests 20000 --share 0
    ${CMAKE_SOURCE_DIR}/proto/data/catalogue.json $<TARGET_FILE:lt-access>)
else()
  add_test(NAME access.model COMMAND ${LT_ACCESS_RUN}
    ${CMAKE_SOURCE_DIR}/proto/data/catalogue.json $<TARGET_FILE:lt-access>)
endif()

# The same with errors planted in it (proto/store/access_bug.h): each must be found.
add_executable(lt-access-bugs access/main.c ${CMAKE_SOURCE_DIR}/proto/store/access.c)
target_compile_definitions(lt-access-bugs PRIVATE LT_ACCESS_BUGS=1)
target_link_libraries(lt-access-bugs PRIVATE lt_rpc lt_store lt_build)
add_test(NAME access.bugs COMMAND ${LT_ACCESS_RUN} --bugs --requests 100000
  ${CMAKE_SOURCE_DIR}/proto/data/catalogue.json $<TARGET_FILE:lt-access-bugs>)
set_tests_properties(access.model access.bugs PROPERTIES TIMEOUT 300 LABELS access)
