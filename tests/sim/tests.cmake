# The simulator: hub and nodes in one thread, over stores in memory and virtual time (sim/sim.h).
file(GLOB LT_SIM_SRCS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/sim/*.c)
add_executable(lt-sim ${LT_SIM_SRCS})
target_compile_definitions(lt-sim PRIVATE SIM_DATA="${CMAKE_CURRENT_SOURCE_DIR}/sim")
target_link_libraries(lt-sim PRIVATE lt_hub lt_node lt_build)

# Four hundred provinces, in which each kind of fault strikes four hundred times (on 2026-11-23 466 times at least); under a
# sanitizer fewer. Any number of others, on all processors: tests/sim/run.sh 10000 1001.
if(LT_SANITIZE)
  add_test(NAME sim.seeds COMMAND lt-sim --seeds 1..60 -j 2)
else()
  add_test(NAME sim.seeds COMMAND lt-sim --seeds 1..400 -j 2 --each-fault 400)
endif()
# Machines restored from old backups by the tool's path: tests/sim/run.sh 2720 1 build --restores 12 does it
# 10,016 times (4,133 nodes, 5,883 hubs; none failed on 2026-11-23, half an hour of one core).
if(LT_SANITIZE)
  add_test(NAME sim.restores COMMAND lt-sim --seeds 1..8 -j 2 --restores 12)
else()
  add_test(NAME sim.restores COMMAND lt-sim --seeds 1..30 -j 2 --restores 12)
endif()
# Files of nodes copied by hand: tests/sim/run.sh 3000 1 build --copies 8, and with --restores 6 besides.
if(LT_SANITIZE)
  add_test(NAME sim.copies COMMAND lt-sim --seeds 1..10 -j 2 --copies 8 --restores 3)
else()
  add_test(NAME sim.copies COMMAND lt-sim --seeds 1..100 -j 2 --copies 8 --restores 3)
endif()
set_tests_properties(sim.restores sim.copies PROPERTIES TIMEOUT 300 LABELS sim)
add_test(NAME sim.repeat COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/sim/repeat.sh $<TARGET_FILE:lt-sim>)
add_test(NAME sim.once COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/sim/once.sh $<TARGET_FILE:lt-sim>)
set_tests_properties(sim.seeds sim.repeat sim.once PROPERTIES TIMEOUT 900 LABELS sim)

include(${CMAKE_CURRENT_SOURCE_DIR}/sim/bugs.cmake)
