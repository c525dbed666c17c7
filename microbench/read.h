/* A plain read, written once for vectors of any width.
 *
 * An ISA file defines, then includes this:
 *   READ_INLINE          its function attributes
 *   line, line_zero()    what 64 bytes are folded into
 *   line_add(sum, at)    sum with the 64 bytes at `at` in it
 *   line_fold(sum)       64 bits that depend on all of it
 *
 * Nothing that uses the bytes may be faster than this, or shares of it would
 * mean nothing. One stream, however far ahead it asks, leaves a core's misses
 * half used: on a Zen 4 whose host lets two threads read 65 GB/s one stream
 * stops at 42 to 55, and where the host allows 36 at 32. Four streams, each in
 * pages of its own and asking a kilobyte ahead, came within 2 % of the best of
 * forty patterns in every state that machine was seen in; two streams and
 * eight, plain streams and longer distances all lost somewhere.
 *
 * The streams stay within a block: one thread reading four places 512 MiB apart
 * got 0.6 of what four places 32 MiB apart gave it, on pages of either size. */

enum { READ_STREAMS = 4, READ_AHEAD = 1024, READ_BLOCK = 1 << 27 };

READ_INLINE uint64_t read_block(const uint8_t *data, size_t bytes) {
    line sum[READ_STREAMS] = {line_zero(), line_zero(), line_zero(), line_zero()};
    size_t part = bytes / READ_STREAMS;
    for (size_t i = 0; i < part; i += 64) {
        FC_UNROLL
        for (int s = 0; s < READ_STREAMS; s++) {
            const uint8_t *at = data + (size_t)s * part + i;
            FC_PREFETCH(at + READ_AHEAD);
            sum[s] = line_add(sum[s], at);
            __asm__ volatile("" ::: "memory"); /* in this order: compilers like to turn it round */
        }
    }
    return line_fold(sum[0]) ^ line_fold(sum[1]) ^ line_fold(sum[2]) ^ line_fold(sum[3]);
}

READ_INLINE uint64_t read_streams(const uint8_t *data, size_t bytes) {
    uint64_t seen = 0;
    for (size_t from = 0; from < bytes; from += READ_BLOCK) {
        size_t left = bytes - from;
        seen ^= read_block(data + from, left < READ_BLOCK ? left : READ_BLOCK);
    }
    return seen;
}
