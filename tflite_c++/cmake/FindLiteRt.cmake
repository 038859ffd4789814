# Finds libLiteRt.so, which the Python package ai-edge-litert brings.
#
#   LITERT_DIR   the folder with libLiteRt.so; by default that of the package in the project's .venv, in the Python that
#                Python3_EXECUTABLE names, or in the first python3
#
# Nothing is linked: programs load the library when they start, so that a build needs it only to record where it is.
set(LITERT_DIR "" CACHE PATH "Folder with libLiteRt.so")
set(_root ${CMAKE_CURRENT_LIST_DIR}/../..)

if(NOT LITERT_DIR)
  set(_ask "import importlib.util as u, os; s = u.find_spec('ai_edge_litert'); print(os.path.dirname(s.origin))")
  foreach(_python ${Python3_EXECUTABLE} ${_root}/.venv/bin/python python3)
    execute_process(COMMAND ${_python} -c "${_ask}" OUTPUT_VARIABLE _found ERROR_QUIET RESULT_VARIABLE _failed
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT _failed AND EXISTS ${_found}/libLiteRt.so AND NOT CMAKE_CROSSCOMPILING)
      set(LITERT_DIR ${_found} CACHE PATH "Folder with libLiteRt.so" FORCE)
      set(KQAT_PYTHON ${_python} CACHE FILEPATH "The Python that has kqat and ai-edge-litert" FORCE)
      break()
    endif()
  endforeach()
endif()

if(LITERT_DIR AND EXISTS ${LITERT_DIR}/libLiteRt.so)
  message(STATUS "LiteRT: ${LITERT_DIR}/libLiteRt.so")
else()
  message(WARNING "libLiteRt.so was not found. Programs will look for it where KQAT_LITERT and the dynamic linker say. "
                  "To find it now: pip install 'ai-edge-litert==2.3.*' and -DPython3_EXECUTABLE=<that python>, or "
                  "-DLITERT_DIR=<folder with libLiteRt.so>.")
endif()
