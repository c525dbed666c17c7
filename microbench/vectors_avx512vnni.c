/* Vectors with AVX-512. */
#include "fitcheck.h"

#if FC_X86
#include "avx512.h"

#define VECTORS __attribute__((target(FC_AVX512_FEATURES)))
#define VECTORS_OF fc_vectors_avx512vnni
#include "vectors.h"

#else
typedef int fc_no_x86_here;
#endif
