#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "base/timeslice.h"
#include "tests/support/harness.h"

// What a thread of its own has seen: what is asked of the kernel is for one thread, and
// niceness does not come back.
struct trial {
    int nice, policy;                         // what it is to be
    bool became;                              // and has become, as to the policy
    bool tells;                               // the kernel tells, and slices matter
    struct wf_sched_attr usual, longest, end; // how it was; with the longest slice; when that is given back
    int policy_at_end;
};

static void *try_slices(void *arg)
{
    struct trial *t = arg;
    const struct sched_param none = { 0 };

    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), t->nice);
    t->became = sched_setscheduler(0, t->policy, &none) == 0 && sched_getscheduler(0) == t->policy;
    t->tells = wf_slice_read(&t->usual);
    wf_slice_ask(WF_SLICE_LONG);
    wf_slice_read(&t->longest);
    wf_slice_ask(WF_SLICE_USUAL);
    wf_slice_read(&t->end);
    t->policy_at_end = sched_getscheduler(0);
    return NULL;
}

static struct trial trial(int nice, int policy)
{
    struct trial t = { .nice = nice, .policy = policy };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, try_slices, &t), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return t;
}

// slices_can_be_asked_for from Linux 6.12 on.
static bool slices_can_be_asked_for(void)
{
    struct utsname system;
    int major = 0, minor = 0;

    assert_int_equal(uname(&system), 0);
    assert_int_equal(sscanf(system.release, "%d.%d", &major, &minor), 2);
    return major > 6 || (major == 6 && minor >= 12);
}

static void a_slice_is_asked_for_and_given_back(void **state)
{
    struct trial t = trial(0, SCHED_OTHER);
    (void)state;

    if (!t.tells)
        wf_test_skip("an emulator does not pass that on");
    assert_int_equal(t.longest.runtime, slices_can_be_asked_for() ? WF_SLICE_LONG : t.usual.runtime);
    assert_int_equal(t.end.runtime, t.usual.runtime);
}

static void niceness_and_policy_stay_what_they_are(void **state)
{
    struct trial t = trial(7, SCHED_BATCH);
    (void)state;

    if (!t.tells)
        wf_test_skip("an emulator does not pass that on");
    assert_int_equal(t.longest.nice, t.usual.nice);
    assert_int_equal(t.end.nice, t.usual.nice);
    assert_int_equal(t.longest.policy, SCHED_BATCH);
    assert_int_equal(t.policy_at_end, SCHED_BATCH);
}

static void who_has_no_slices_is_left_alone(void **state)
{
    struct trial t = trial(0, SCHED_IDLE);
    (void)state;

    if (!t.became)
        wf_test_skip("an emulator does not pass that on");
    assert_false(t.tells);
    assert_int_equal(t.policy_at_end, SCHED_IDLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_is_asked_for_and_given_back),
        cmocka_unit_test(niceness_and_policy_stay_what_they_are),
        cmocka_unit_test(who_has_no_slices_is_left_alone),
    };
    return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
