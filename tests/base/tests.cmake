foreach(name error buf arena clock ids text file config log)
  lt_test(base ${name})
endforeach()
