// xorshift64* (Vigna 2016): small, fast, good enough to choose victims. Each thread has
// its own state.
#ifndef WF_BASE_RAND_H
#define WF_BASE_RAND_H

#include <stdint.h>

#include "base/assert.h"

static inline uint64_t wf_rand(uint64_t *state)
{
    uint64_t x = *state;
    wf_debug_assert(x != 0); // the sequence of 0 is constant
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

// wf_rand_below draws from [0, n) (Lemire's multiply and shift).
static inline uint32_t wf_rand_below(uint64_t *state, uint32_t n)
{
    wf_debug_assert(n > 0);
    return (uint32_t)(((wf_rand(state) >> 32) * n) >> 32);
}

// wf_rand_seed spreads seed + stream over the state, never zero (splitmix64, Steele et
// al. 2014).
static inline uint64_t wf_rand_seed(uint64_t seed, uint64_t stream)
{
    uint64_t z = seed + (stream + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return z ? z : 1;
}

#endif
