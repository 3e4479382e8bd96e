# Damaged stores (damage/damage.h): a sample here, as many as wanted by damage.sh.
file(GLOB LT_DAMAGE_SRCS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/damage/*.c)
add_executable(lt-damage ${LT_DAMAGE_SRCS})
target_link_libraries(lt-damage PRIVATE lt_tests_federation lt_hub lt_node lt_build PkgConfig::CMOCKA)
if(LT_SANITIZE)
  add_test(NAME damage.stores COMMAND lt-damage --count 60 -j 2)
  add_test(NAME damage.rows COMMAND lt-damage --rows --count 6 -j 2)
  add_test(NAME damage.keys COMMAND lt-damage --keys --count 10 -j 2)
else()
  add_test(NAME damage.stores COMMAND lt-damage --count 1000 -j 2)
  # What peers say of many change-sets at a time, true and not.
  add_test(NAME damage.rows COMMAND lt-damage --rows --count 200 -j 2)
  # A row under a key that no change-set has.
  add_test(NAME damage.keys COMMAND lt-damage --keys --count 300 -j 2)
endif()
set_tests_properties(damage.stores damage.rows damage.keys PROPERTIES TIMEOUT 600 LABELS damage)

# The same over programs with a defect planted in them (proto/store/damage_bug.h): each must be found.
add_executable(lt-damage-bugs ${LT_DAMAGE_SRCS} ${CMAKE_SOURCE_DIR}/proto/store/kv.c
  ${CMAKE_SOURCE_DIR}/proto/store/kv_check.c ${CMAKE_SOURCE_DIR}/proto/store/scrub.c ${CMAKE_SOURCE_DIR}/proto/store/repair.c
  ${CMAKE_SOURCE_DIR}/proto/store/repair_put.c)
target_compile_definitions(lt-damage-bugs PRIVATE LT_DAMAGE_BUGS=1)
target_link_libraries(lt-damage-bugs PRIVATE lt_tests_federation lt_hub lt_node lt_build PkgConfig::CMOCKA)
if(NOT LT_SANITIZE)
  foreach(bug NO_SUM NO_CHECK NO_OMISSION)
    add_test(NAME damage.bug_${bug} COMMAND lt-damage-bugs --count 200 -j 2 --until-defect --large --bug ${bug})
    set_tests_properties(damage.bug_${bug} PROPERTIES TIMEOUT 600 LABELS damage)
  endforeach()
  # Few damages hit an opening, or what a lie is told about.
  foreach(bug REPAIR_HALF REPAIR_BELIEVES)
    add_test(NAME damage.bug_${bug} COMMAND lt-damage-bugs --count 3000 -j 2 --until-defect --bug ${bug})
    set_tests_properties(damage.bug_${bug} PROPERTIES TIMEOUT 600 LABELS damage)
  endforeach()
endif()
