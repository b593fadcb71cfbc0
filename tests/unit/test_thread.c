// The common properties of the library's threads, with any settings of the thread that
// makes them.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sigpipe.h"
#include "base/thread.h"
#include "base/timeslice.h"
#include "tests/support/harness.h"

// What a thread has found about itself.
struct found {
    char name[16];
    sigset_t mask;
    int cancel; // whether it may be cancelled
    bool spared;
    uint64_t slice;
    bool slices; // matter, and the kernel tells
};

static void *find(void *arg)
{
    struct wf_sched_attr attr = { 0 };
    struct found *f = arg;

    pthread_getname_np(pthread_self(), f->name, sizeof(f->name));
    pthread_sigmask(SIG_BLOCK, NULL, &f->mask);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &f->cancel);
    f->spared = wf_sigpipe_spare(true);
    f->slices = wf_slice_read(&attr);
    f->slice = attr.runtime;
    return f;
}

static void find_in(struct found *f, struct wf_thread_spec spec)
{
    pthread_t thread;
    void *result;

    spec.fn = find;
    spec.arg = f;
    assert_int_equal(wf_thread_start(&thread, &spec), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, f);
}

// block_one has the calling thread block SIGUSR1, or no signal.
static void block_one(bool on)
{
    sigset_t one;

    sigemptyset(&one);
    if (on)
        sigaddset(&one, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &one, NULL), 0);
}

static void the_maker_keeps_its_mask(bool blocked)
{
    sigset_t now;

    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
    assert_int_equal(sigismember(&now, SIGUSR1), blocked);
    assert_int_equal(sigismember(&now, SIGUSR2), 0);
}

static void each_thread_has_its_name(void **state)
{
    struct found f;
    (void)state;

    find_in(&f, (struct wf_thread_spec){ .name = "weft-some" });
    assert_string_equal(f.name, "weft-some");
    find_in(&f, (struct wf_thread_spec){ .name = "0123456789abcdefgh" });
    assert_string_equal(f.name, "0123456789abcde");
}

static void none_can_be_cancelled_and_none_gets_sigpipe(void **state)
{
    struct found f;
    (void)state;

    find_in(&f, (struct wf_thread_spec){ .name = "a" });
    assert_int_equal(f.cancel, PTHREAD_CANCEL_DISABLE);
    assert_true(f.spared);
    assert_false(wf_sigpipe_spare(false)); // the caller is none of weft's
}

static void the_mask_is_the_callers_or_the_origins_or_full(void **state)
{
    struct wf_origin *origin;
    struct found f;
    (void)state;

    block_one(false);
    assert_int_equal(wf_origin_new(&origin, false), 0);
    block_one(true);
    find_in(&f, (struct wf_thread_spec){ .name = "a" });
    assert_int_equal(sigismember(&f.mask, SIGUSR1), 1);
    assert_int_equal(sigismember(&f.mask, SIGUSR2), 0);
    find_in(&f, (struct wf_thread_spec){ .name = "a", .origin = origin });
    assert_int_equal(sigismember(&f.mask, SIGUSR1), 0);
    find_in(&f, (struct wf_thread_spec){ .name = "a", .deaf = true });
    assert_int_equal(sigismember(&f.mask, SIGUSR1), 1);
    assert_int_equal(sigismember(&f.mask, SIGUSR2), 1);
    assert_int_equal(sigismember(&f.mask, SIGSYS), 0);
    the_maker_keeps_its_mask(true);
    block_one(false);
    wf_origin_free(origin);
}

static void the_slice_is_the_usual_one(void **state)
{
    struct found before, after;
    (void)state;

    find_in(&before, (struct wf_thread_spec){ .name = "a" });
    wf_slice_ask(WF_SLICE_LONG); // a thread inherits it
    find_in(&after, (struct wf_thread_spec){ .name = "a" });
    wf_slice_ask(WF_SLICE_USUAL);
    if (!before.slices)
        wf_test_skip("an emulator does not pass that on");
    assert_int_equal(after.slice, before.slice);
}

#ifdef WF_FAULTS
static void a_refusal_is_returned_and_leaves_nothing(void **state)
{
    struct found f = { .name = "not run" };
    struct wf_thread_spec spec = { .name = "a", .fn = find, .arg = &f };
    pthread_t thread;
    (void)state;

    wf_mem_fail_at(1, false); // memory
    assert_int_equal(wf_thread_start(&thread, &spec), -ENOMEM);
    wf_mem_fail_at(2, false); // the thread
    assert_int_equal(wf_thread_start(&thread, &spec), -EAGAIN);
    wf_mem_fail_at(0, false);
    assert_string_equal(f.name, "not run");
    the_maker_keeps_its_mask(false);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_thread_has_its_name),
        cmocka_unit_test(none_can_be_cancelled_and_none_gets_sigpipe),
        cmocka_unit_test(the_mask_is_the_callers_or_the_origins_or_full),
        cmocka_unit_test(the_slice_is_the_usual_one),
#ifdef WF_FAULTS
        cmocka_unit_test(a_refusal_is_returned_and_leaves_nothing),
#endif
    };
    return wf_test_run(tests);
}
