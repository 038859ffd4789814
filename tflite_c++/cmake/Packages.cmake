# What Debian and Ubuntu package; nothing is downloaded or copied into the project.
set(KQAT_APT libstb-dev libcli11-dev nlohmann-json3-dev zlib1g-dev libgtest-dev)

function(kqat_missing what)
  list(JOIN KQAT_APT " " _packages)
  message(FATAL_ERROR "${what} was not found. Install what the build needs: apt-get install ${_packages}")
endfunction()

# Headers that are the same for every processor. They are linked into a folder of their own, since the include folder
# of the machine that builds must not be searched when building for another.
set(KQAT_HEADERS ${CMAKE_BINARY_DIR}/headers)
file(MAKE_DIRECTORY ${KQAT_HEADERS})
foreach(_header stb/stb_image.h CLI/CLI.hpp nlohmann/json.hpp)
  get_filename_component(_folder ${_header} DIRECTORY)
  find_path(KQAT_${_folder} ${_header} PATHS /usr/include /usr/local/include NO_CMAKE_FIND_ROOT_PATH)
  if(NOT KQAT_${_folder})
    kqat_missing(${_header})
  endif()
  file(CREATE_LINK ${KQAT_${_folder}}/${_folder} ${KQAT_HEADERS}/${_folder} SYMBOLIC)
endforeach()
add_library(kqat_headers INTERFACE)
target_include_directories(kqat_headers SYSTEM INTERFACE ${KQAT_HEADERS})

find_package(Threads REQUIRED)
find_package(ZLIB)
if(NOT ZLIB_FOUND)
  kqat_missing(zlib)
endif()
