// Replaces Concurrency Kit's <ck_pr.h> in ThreadSanitizer builds only, where it is
// first on the include path.
//
// Concurrency Kit's operations are inline assembly, which ThreadSanitizer cannot see:
// correct programs are reported. Its own way out, CK_USE_CC_BUILTINS, turns loads and
// stores into plain volatile accesses, which is worse. So here loads acquire, stores
// release, and exchanges do both: the operations proper, in the compiler's words. The
// double-width compare-and-swap, which the builtins lack, is added on x86-64 (it needs
// -mcx16, and from gcc -latomic).
#ifndef WF_TESTS_TSAN_CK_PR_H
#define WF_TESTS_TSAN_CK_PR_H

#ifndef CK_USE_CC_BUILTINS
#define CK_USE_CC_BUILTINS 1
#endif
#pragma GCC system_header // for the next line, which is an extension, and for its macros
#include_next <ck_pr.h>

#define WF_CK_LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define WF_CK_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define WF_CK_EXCHANGE(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)

#undef ck_pr_load_ptr
#undef ck_pr_load_char
#undef ck_pr_load_uint
#undef ck_pr_load_int
#undef ck_pr_load_64
#undef ck_pr_load_32
#undef ck_pr_load_16
#undef ck_pr_load_8
#define ck_pr_load_ptr WF_CK_LOAD
#define ck_pr_load_char WF_CK_LOAD
#define ck_pr_load_uint WF_CK_LOAD
#define ck_pr_load_int WF_CK_LOAD
#define ck_pr_load_64 WF_CK_LOAD
#define ck_pr_load_32 WF_CK_LOAD
#define ck_pr_load_16 WF_CK_LOAD
#define ck_pr_load_8 WF_CK_LOAD

#undef ck_pr_store_ptr
#undef ck_pr_store_char
#undef ck_pr_store_uint
#undef ck_pr_store_int
#undef ck_pr_store_64
#undef ck_pr_store_32
#undef ck_pr_store_16
#undef ck_pr_store_8
#define ck_pr_store_ptr WF_CK_STORE
#define ck_pr_store_char WF_CK_STORE
#define ck_pr_store_uint WF_CK_STORE
#define ck_pr_store_int WF_CK_STORE
#define ck_pr_store_64 WF_CK_STORE
#define ck_pr_store_32 WF_CK_STORE
#define ck_pr_store_16 WF_CK_STORE
#define ck_pr_store_8 WF_CK_STORE

#undef ck_pr_fas_ptr
#undef ck_pr_fas_char
#undef ck_pr_fas_uint
#undef ck_pr_fas_int
#undef ck_pr_fas_64
#undef ck_pr_fas_32
#undef ck_pr_fas_16
#undef ck_pr_fas_8
#define ck_pr_fas_ptr(p, v) WF_CK_EXCHANGE((void **)(void *)(p), (void *)(v))
#define ck_pr_fas_char WF_CK_EXCHANGE
#define ck_pr_fas_uint WF_CK_EXCHANGE
#define ck_pr_fas_int WF_CK_EXCHANGE
#define ck_pr_fas_64 WF_CK_EXCHANGE
#define ck_pr_fas_32 WF_CK_EXCHANGE
#define ck_pr_fas_16 WF_CK_EXCHANGE
#define ck_pr_fas_8 WF_CK_EXCHANGE

#if defined(__x86_64__) && !defined(CK_F_PR_CAS_PTR_2_VALUE)
#define CK_F_PR_CAS_PTR_2
#define CK_F_PR_CAS_PTR_2_VALUE

// ck_pr_cas_ptr_2_value replaces the two words at `target` by those at `to` if they are
// those at `from`; what was there goes to `found`.
static inline bool ck_pr_cas_ptr_2_value(void *target, void *from, void *to, void *found)
{
    __extension__ typedef __int128 pair;
    pair old, new;

    __builtin_memcpy(&old, from, sizeof(old));
    __builtin_memcpy(&new, to, sizeof(new));
    bool done = __atomic_compare_exchange_n((pair *)__builtin_assume_aligned(target, sizeof(pair)), &old, new, 0,
                                            __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    __builtin_memcpy(found, &old, sizeof(old));
    return done;
}

static inline bool ck_pr_cas_ptr_2(void *target, void *from, void *to)
{
    void *found[2];

    return ck_pr_cas_ptr_2_value(target, from, to, found);
}
#endif

#endif
