# The same simulator over the same programs with bugs planted in them (proto/base/simbug.h): each must be found.
set(LT_SIM_BUG_C proto/store/writer.c proto/store/author.c proto/store/admit.c proto/store/feed_log.c
  proto/store/projection.c proto/store/projection_flush.c proto/store/restore.c hub/intake.c hub/forks.c hub/verdict.c
  hub/project.c hub/pull_plan.c hub/recovery.c hub/sync_answer.c node/session.c node/reissue.c node/sent.c node/node.c
  node/apply.c node/checkpoint.c node/own_feeds.c node/rebuild.c)
list(TRANSFORM LT_SIM_BUG_C PREPEND ${CMAKE_SOURCE_DIR}/)
add_executable(lt-sim-bugs ${LT_SIM_SRCS} ${LT_SIM_BUG_C})
target_compile_definitions(lt-sim-bugs PRIVATE LT_SIM_BUGS=1 SIM_DATA="${CMAKE_CURRENT_SOURCE_DIR}/sim")
target_link_libraries(lt-sim-bugs PRIVATE lt_hub lt_node lt_build)
# A test for each in the list: ctest runs them side by side. The plain build alone, as tests/CMakeLists.txt says.
set(header ${CMAKE_SOURCE_DIR}/proto/base/simbug.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
file(READ ${header} said)
string(REGEX MATCHALL "\tX\\([A-Z_]+, \"" bugs "${said}")
if(LT_SANITIZE)
  set(bugs "")
elseif(NOT bugs)
  message(FATAL_ERROR "no planted bugs in ${header}")
endif()
foreach(bug ${bugs})
  string(REGEX REPLACE "^\tX\\(([A-Z_]+), \"$" "\\1" bug "${bug}")
  add_test(NAME sim.bug_${bug} COMMAND ${LT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/sim/bugs.py $<TARGET_FILE:lt-sim-bugs> ${header} ${bug})
  set_tests_properties(sim.bug_${bug} PROPERTIES TIMEOUT 900 LABELS sim)
endforeach()
