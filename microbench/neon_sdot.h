/* sdot for the files that are compiled for it: include where NEON is defined and the target is set. */
/* Written as the instruction, since compilers differ in whether they declare
 * its intrinsic for a function's own target or for the whole file's only. */
NEON int32x4_t dot(int32x4_t sum, int8x16_t a, int8x16_t b) {
    __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b));
    return sum;
}
