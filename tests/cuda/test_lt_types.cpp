/* test_lt_types.cpp - what lt_types.cuh declares is what the headers of cuBLASLt say: it compiles.
 */
#include "kernels/cuda/lt_types.cuh"

#include <cublasLt.h>

#define SAME(ours, theirs) static_assert((int)(ours) == (int)(theirs), #theirs)

static_assert(sizeof(lt::algo) == sizeof(cublasLtMatmulAlgo_t), "algo");
static_assert(sizeof(lt::heuristic) == sizeof(cublasLtMatmulHeuristicResult_t), "heuristic");
SAME(offsetof(lt::heuristic, algo), offsetof(cublasLtMatmulHeuristicResult_t, algo));
SAME(offsetof(lt::heuristic, workspace), offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
SAME(offsetof(lt::heuristic, state), offsetof(cublasLtMatmulHeuristicResult_t, state));
SAME(lt::STATUS_SUCCESS, CUBLAS_STATUS_SUCCESS);
SAME(lt::OP_T, CUBLAS_OP_T);
SAME(lt::REAL_F32, CUDA_R_32F);
SAME(lt::REAL_BF16, CUDA_R_16BF);
SAME(lt::COMPUTE_F32, CUBLAS_COMPUTE_32F);
SAME(lt::DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(lt::DESC_EPILOGUE, CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME(lt::DESC_BIAS_POINTER, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME(lt::EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_DEFAULT);
SAME(lt::EPILOGUE_BIAS, CUBLASLT_EPILOGUE_BIAS);
SAME(lt::PREF_MAX_WORKSPACE, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(lt::PREF_REDUCTION_SCHEMES, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(lt::PREF_MIN_ALIGNMENT_A, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(lt::PREF_MIN_ALIGNMENT_A + 1, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(lt::PREF_MIN_ALIGNMENT_A + 2, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(lt::PREF_MIN_ALIGNMENT_A + 3, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME(lt::REDUCTION_NONE, CUBLASLT_REDUCTION_SCHEME_NONE);
SAME(lt::CONFIG_SPLIT_K, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
SAME(lt::CONFIG_REDUCTION_SCHEME, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
/* The functions take these arguments, all of them pointers or whole numbers. */
static_assert(sizeof(cublasOperation_t) == sizeof(int) && sizeof(cublasLtEpilogue_t) == sizeof(int),
              "attributes of 32 bits");
