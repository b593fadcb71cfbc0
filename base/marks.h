// wf_marks finds all bytes of a given value among 64. memchr finds only the first one,
// and its result decides where the next search begins: in a text of short lines each
// search waits for the one before it. A mask has all of them, and the next mask does
// not depend on it.
#ifndef WF_BASE_MARKS_H
#define WF_BASE_MARKS_H

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_neon.h>
#endif

enum { WF_MARKS = 64 };

// wf_marks has bit i set if p[i] is `c`.
#if defined(__SSE2__)
static inline uint64_t wf_marks(const char *p, char c)
{
    const __m128i wanted = _mm_set1_epi8(c);
    uint64_t marks = 0;

    for (int i = 0; i < 4; i++) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        marks |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted)) << 16 * i;
    }
    return marks;
}
#elif defined(__ARM_NEON) && defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static inline uint64_t wf_marks(const char *p, char c)
{
    static const uint8_t bits[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
    const uint8x16_t wanted = vdupq_n_u8((uint8_t)c), bit = vld1q_u8(bits);
    uint8x16_t at[4];

    for (int i = 0; i < 4; i++)
        at[i] = vandq_u8(vceqq_u8(vld1q_u8((const uint8_t *)p + 16 * i), wanted), bit);
    // three sums of neighbours turn eight bytes with a bit each into one byte
    const uint8x16_t sum = vpaddq_u8(vpaddq_u8(at[0], at[1]), vpaddq_u8(at[2], at[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}
#else
static inline uint64_t wf_marks(const char *p, char c)
{
    uint64_t marks = 0;

    for (const char *at = p; (at = memchr(at, c, (size_t)(p + WF_MARKS - at))); at++)
        marks |= UINT64_C(1) << (at - p);
    return marks;
}
#endif

#endif
