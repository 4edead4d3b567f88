# gpu.cmake - the target gpu_tests: what tests/gpu/run.sh takes to a machine with a GPU, for sm_90a alone,
# in one folder (VLQA_GPU_FOLDER). Programs find the files of the repository from its root.
set(VLQA_GPU_FOLDER ${CMAKE_SOURCE_DIR}/build-gpu CACHE PATH "Where gpu_tests puts programs for a GPU")
set(gpu_programs vlqa gpu_kernels)
# One program, so that what the tests of operations link to is there once.
add_executable(gpu_kernels EXCLUDE_FROM_ALL gpu/kernels.c)
set_target_properties(gpu_kernels PROPERTIES OUTPUT_NAME test_kernels
                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/gpu)
target_link_libraries(gpu_kernels PRIVATE test_ref_ops vlqa_cpu_amx_emulated)
foreach(name ops heads measures matmul attention score placement random quantize device)
  add_library(gpu_kernels_${name} OBJECT EXCLUDE_FROM_ALL kernels/test_${name}.c)
  target_link_libraries(gpu_kernels_${name} PRIVATE test_ref_ops)
  target_compile_definitions(gpu_kernels_${name} PRIVATE main=test_${name}_main VLQA_SANITIZED=0)
  target_compile_options(gpu_kernels_${name} PRIVATE
    "SHELL:-include ${CMAKE_CURRENT_SOURCE_DIR}/gpu/kernels.h")
  target_link_libraries(gpu_kernels PRIVATE gpu_kernels_${name})
endforeach()
set(gpu_files)
foreach(name golden default_model engine)
  set(target gpu_${name})
  set(source fusion/test_${name}.c)
  set(program test_emu_${name})
  if(name STREQUAL engine)
    set(source cuda/test_engine.c)
    set(program test_cuda_engine)
  endif()
  add_executable(${target} EXCLUDE_FROM_ALL ${source})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${program}
                        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/gpu)
  target_link_libraries(${target} PRIVATE vlqa_fusion emu_wrap)
  target_compile_definitions(${target} PRIVATE VLQA_SOURCE_DIR="." VLQA_BINARY_DIR="."
                             VLQA_SANITIZED=0 STRIDE=8)
  list(APPEND gpu_programs ${target})
endforeach()
foreach(program ${gpu_programs})
  list(APPEND gpu_files $<TARGET_FILE:${program}>)
endforeach()

# As kernels/cuda/module.cmake compiles them, for one architecture.
set(gpu_flags -std=c++17 -O3 --fmad=false -D_GNU_SOURCE -I${CMAKE_SOURCE_DIR}
    -gencode=arch=compute_90a,code=sm_90a -cudart static
    -Xcompiler=-fPIC,-fvisibility=hidden,-ffp-contract=off,-Wall)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/gpu)
file(GLOB gpu_headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.h)
set(gpu_objects)
foreach(source ${cuda_sources})
  get_filename_component(name ${source} NAME_WE)
  set(object ${CMAKE_BINARY_DIR}/gpu/${name}.o)
  add_custom_command(OUTPUT ${object} COMMAND ${nvcc} ${gpu_flags} -c ${source} -o ${object}
    DEPENDS ${source} ${cuda_headers} COMMENT "Building CUDA object gpu/${name}.o" VERBATIM)
  list(APPEND gpu_objects ${object})
endforeach()
set(gpu_module ${CMAKE_BINARY_DIR}/gpu/libvlqa-cuda.so)
add_custom_command(OUTPUT ${gpu_module}
  COMMAND ${nvcc} -shared ${gpu_flags} ${gpu_objects} -o ${gpu_module}
          -Xlinker=--exclude-libs,ALL,--as-needed
  DEPENDS ${gpu_objects} COMMENT "Linking CUDA module gpu/libvlqa-cuda.so" VERBATIM)
list(APPEND gpu_files ${gpu_module})
foreach(name mma_attention wgmma_attention mma_score mma_gemv mma_gemm probes machine)
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/cuda/test_${name}.cu)
  if(name STREQUAL machine)
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/gpu/machine.cu)
  endif()
  set(program ${CMAKE_BINARY_DIR}/gpu/test_cuda_${name})
  add_custom_command(OUTPUT ${program}
    COMMAND ${nvcc} ${gpu_flags} ${source} -o ${program} -ldl
    DEPENDS ${source} ${cuda_headers} ${gpu_headers} COMMENT "Building CUDA program gpu/test_cuda_${name}" VERBATIM)
  list(APPEND gpu_files ${program})
endforeach()
add_custom_target(gpu_tests
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/gpu/collect.sh ${VLQA_GPU_FOLDER} 22 ${gpu_files}
  DEPENDS ${gpu_files} ${gpu_programs} VERBATIM)
