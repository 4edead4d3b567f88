# module.cmake - libvlqa-cuda.so, by nvcc alone: neither C++ nor the toolkit is a language of the
# project, and a build without nvcc is the same as if this file were not there.
set(VLQA_CUDA AUTO CACHE STRING "The module for CUDA: AUTO (where nvcc is found), ON or OFF")
set(VLQA_NVCC "" CACHE FILEPATH "nvcc 12.0 or later; empty: searched for")
option(VLQA_CUDA_WGMMA "Attention by products of warpgroups on sm_90a, which no GPU has run" OFF)
set(cuda_module FALSE)
if(NOT VLQA_CUDA STREQUAL "OFF")
  set(nvcc ${VLQA_NVCC})
  if(NOT nvcc)
    find_program(VLQA_NVCC_FOUND nvcc PATHS /usr/local/cuda/bin)
    mark_as_advanced(VLQA_NVCC_FOUND)
    set(nvcc ${VLQA_NVCC_FOUND})
  endif()
  if(nvcc)
    execute_process(COMMAND ${nvcc} --version OUTPUT_VARIABLE version ERROR_QUIET)
    string(REGEX MATCH "release ([0-9.]+)" version "${version}")
    set(version ${CMAKE_MATCH_1})
    if(version VERSION_GREATER_EQUAL 12.0)
      set(cuda_module TRUE)
    endif()
  endif()
  if(VLQA_CUDA STREQUAL "ON" AND NOT cuda_module)
    message(FATAL_ERROR "VLQA_CUDA is ON, and there is no nvcc 12.0 or later: set VLQA_NVCC")
  endif()
endif()

if(cuda_module)
  # GPUs from Ampere on, and PTX for those that are newer than the compiler.
  set(cuda_archs 80 86 89 90a)
  if(version VERSION_GREATER_EQUAL 12.8)
    list(APPEND cuda_archs 100 120)
  endif()
  set(codes)
  foreach(arch ${cuda_archs})
    list(APPEND codes -gencode=arch=compute_${arch},code=sm_${arch})
  endforeach()
  list(GET cuda_archs -1 arch)
  string(REPLACE "90a" "90" arch ${arch})
  list(APPEND codes -gencode=arch=compute_${arch},code=compute_${arch})
  # As the emulation is compiled: products and sums are rounded one by one.
  set(flags -std=c++17 -O3 --fmad=false -D_GNU_SOURCE -I${CMAKE_SOURCE_DIR} ${codes}
      -Xcompiler=-fPIC,-fvisibility=hidden,-ffp-contract=off,-Wall)
  if(VLQA_CUDA_WGMMA)
    list(APPEND flags -DVLQA_CUDA_WGMMA=1)
  endif()
  file(GLOB cuda_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*.h
       ${CMAKE_SOURCE_DIR}/kernels/cuda/*.h ${CMAKE_SOURCE_DIR}/kernels/cuda/*.cuh)
  file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.cu)
  set(cuda_objects)
  set(cuda_logs)
  foreach(source ${cuda_sources})
    get_filename_component(name ${source} NAME_WE)
    set(object ${CMAKE_BINARY_DIR}/cuda/${name})
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/cuda)
    # What ptxas says of registers and spills is kept, and shown where the compilation fails.
    add_custom_command(OUTPUT ${object}.o ${object}.log
      COMMAND sh -c "\"$@\" > ${object}.log 2>&1 || { cat ${object}.log; exit 1; }" sh
              ${nvcc} ${flags} -Xptxas=-v -c ${source} -o ${object}.o
      DEPENDS ${source} ${cuda_headers} COMMENT "Building CUDA object ${name}.o" VERBATIM)
    list(APPEND cuda_objects ${object}.o)
    list(APPEND cuda_logs ${object}.log)
  endforeach()
  set(cuda_library ${CMAKE_BINARY_DIR}/libvlqa-cuda.so)
  add_custom_command(OUTPUT ${cuda_library}
    COMMAND ${nvcc} -shared -cudart static ${codes} ${cuda_objects} -o ${cuda_library}
            -Xlinker=--exclude-libs,ALL,--as-needed
    DEPENDS ${cuda_objects} COMMENT "Linking CUDA module libvlqa-cuda.so" VERBATIM)
  add_custom_target(vlqa_cuda ALL DEPENDS ${cuda_library})
  install(PROGRAMS ${cuda_library} DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
