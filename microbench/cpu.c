/* The only place that asks what the CPU can do. A feature counts when the
 * processor has it and the operating system saves its registers. */
#include "platform.h"

#include "fitcheck.h"

static uint64_t bit_if(int condition, uint64_t bit) { return condition ? bit : 0; }

#if FC_X86
#include <cpuid.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { XCR0_AVX = 0x6, XCR0_AVX512 = 0xe6, XCR0_AMX = 0x60000 };

static uint64_t xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Linux hands out the tile registers only to a process that asks for them. */
static int amx_permitted(void) {
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return 0;
#endif
}

static int set(uint32_t word, int bit) { return (int)(word >> bit & 1); }

static uint64_t leaf_7(uint64_t os) {
    uint32_t a, b, c, d, a1 = 0, b1, c1, d1;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (a >= 1 && !__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1)) a1 = 0;
    int avx512 = (os & XCR0_AVX512) == XCR0_AVX512;
    int amx = (os & XCR0_AMX) == XCR0_AMX && set(d, 24) && amx_permitted();
    return bit_if(set(b, 5), FC_CPU(avx2))
         | bit_if(set(a1, 4), FC_CPU(avx_vnni))
         | bit_if(avx512 && set(b, 16), FC_CPU(avx512f))
         | bit_if(avx512 && set(b, 30), FC_CPU(avx512bw))
         | bit_if(avx512 && set(b, 31), FC_CPU(avx512vl))
         | bit_if(avx512 && set(c, 1), FC_CPU(avx512_vbmi))
         | bit_if(avx512 && set(c, 11), FC_CPU(avx512_vnni))
         | bit_if(amx, FC_CPU(amx_tile))
         | bit_if(amx && set(d, 25), FC_CPU(amx_int8));
}

uint64_t fc_cpu_features(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    int osxsave = set(c, 27);
    if (!osxsave) return 0;
    uint64_t os = xcr0();
    if ((os & XCR0_AVX) != XCR0_AVX) return 0;
    return bit_if(set(c, 12), FC_CPU(fma)) | bit_if(set(c, 29), FC_CPU(f16c)) | leaf_7(os);
}

#elif FC_ARM && defined(__linux__)
#include <sys/auxv.h>

/* The kernel's bit numbers; old C libraries lack the newer names. */
enum { HWCAP_BIT_ASIMD = 1, HWCAP_BIT_ASIMDDP = 20, HWCAP_BIT_SVE = 22, HWCAP2_BIT_I8MM = 13 };

uint64_t fc_cpu_features(void) {
    unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    return bit_if((int)(first >> HWCAP_BIT_ASIMD & 1), FC_CPU(neon))
         | bit_if((int)(first >> HWCAP_BIT_ASIMDDP & 1), FC_CPU(dotprod))
         | bit_if((int)(first >> HWCAP_BIT_SVE & 1), FC_CPU(sve))
         | bit_if((int)(second >> HWCAP2_BIT_I8MM & 1), FC_CPU(i8mm));
}

#elif FC_ARM && defined(__APPLE__)
#include <sys/sysctl.h>

static int sysctl_says(const char *name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value == 1;
}

uint64_t fc_cpu_features(void) {
    return FC_CPU(neon)
         | bit_if(sysctl_says("hw.optional.arm.FEAT_DotProd"), FC_CPU(dotprod))
         | bit_if(sysctl_says("hw.optional.arm.FEAT_I8MM"), FC_CPU(i8mm));
}

#else
uint64_t fc_cpu_features(void) { return bit_if(0, 0); }
#endif

const char *fc_cpu_feature_name(int index) {
    static const char *const names[] = {
#define X(name) #name,
        FC_CPU_BITS(X)
#undef X
    };
    return index >= 0 && index < FC_CPU_COUNT ? names[index] : NULL;
}

const char *fc_compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown";
#endif
}
