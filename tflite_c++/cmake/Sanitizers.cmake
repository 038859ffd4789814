# Every report of a sanitizer ends the program: a test that passes had none.
if(KQAT_SANITIZE OR KQAT_FUZZ)
  set(_sanitize -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_compile_options(${_sanitize})
  add_link_options(${_sanitize})
endif()
if(KQAT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
