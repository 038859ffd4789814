# Every warning is an error: a clean build says something then.
add_compile_options(-Wall -Wextra -Werror -Wshadow -Wconversion)
