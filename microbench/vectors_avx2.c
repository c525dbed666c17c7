/* Vectors with AVX2. */
#include "fitcheck.h"

#if FC_X86
#include "avx2.h"

#define VECTORS AVX2
#define VECTORS_OF fc_vectors_avx2
#include "vectors.h"

#else
typedef int fc_no_x86_here;
#endif
