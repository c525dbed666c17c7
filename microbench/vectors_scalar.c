/* Vectors with what every processor of the architecture has. */
#include "fitcheck.h"

#define VECTORS
#define VECTORS_OF fc_vectors_scalar
#include "vectors.h"
