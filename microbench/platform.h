/* Include first: asks the C library for what C11 alone does not promise. */
#ifndef FITCHECK_PLATFORM_H
#define FITCHECK_PLATFORM_H

#if defined(__linux__)
#define _GNU_SOURCE
#elif defined(__APPLE__)
#define _DARWIN_C_SOURCE
#else
#define _POSIX_C_SOURCE 200809L
#endif

#endif
