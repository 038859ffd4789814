# Tests of a cross build run under qemu-user.
#
# LiteRT asks /proc/cpuinfo what the processor is, and crashes on the text of a machine of another kind, which is what
# qemu-user shows it. Files below the folder that qemu's -L names take precedence, so one of a Cortex-A72 goes there.
if(CMAKE_CROSSCOMPILING AND CMAKE_SYSTEM_PROCESSOR STREQUAL aarch64)
  set(_sysroot ${CMAKE_BINARY_DIR}/sysroot)
  file(MAKE_DIRECTORY ${_sysroot}/proc)
  file(CREATE_LINK /usr/aarch64-linux-gnu/lib ${_sysroot}/lib SYMBOLIC)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/cortex-a72.cpuinfo ${_sysroot}/proc/cpuinfo COPYONLY)
  set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu cortex-a72 -L ${_sysroot})
endif()
