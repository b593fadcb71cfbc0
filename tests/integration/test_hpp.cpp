// weft/weft.hpp: lambdas as tasks, scopes, exceptions that go from a child to its
// scope.
#include "tests/support/cxx.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>
#include <weft/weft.hpp>

#include "base/compiler.h"

// How often the program has allocated by `new`; under clang's sanitizers, which have
// their own, not at all.
static std::atomic<long> allocated{ 0 };

#if defined(__clang__) && (defined(WF_ASAN) || defined(WF_TSAN))
#define COUNTS 0
#else
#define COUNTS 1
void *operator new(std::size_t n)
{
    allocated++;
    if (void *p = std::malloc(n))
        return p;
    throw std::bad_alloc();
}

void operator delete(void *p) noexcept
{
    std::free(p);
}

void operator delete(void *p, std::size_t) noexcept
{
    std::free(p);
}
#endif

namespace {

// expect_throw runs fn(), which must throw an E.  Returns: it.
template <class E, class F> E expect_throw(F fn)
{
    try {
        fn();
    } catch (const E &e) {
        return e;
    }
    fail_msg("nothing was thrown");
    std::abort();
}

template <class F> int error_of(F fn)
{
    return expect_throw<weft::error>(fn).result();
}

[[noreturn]] void fail_with(const char *why)
{
    throw std::runtime_error(why);
}

// wait_until waits for what another task does, without sleeping in the hope that it
// has.
template <class F> void wait_until(F happened)
{
    weft::shield uncut;
    while (!happened())
        weft::check(weft_sleep(WEFT_US(50)));
}

// --- errors --------------------------------------------------------------------------

void an_error_is_what_the_call_returned(void **)
{
    weft::error e(-ETIMEDOUT);

    assert_int_equal(e.result(), -ETIMEDOUT);
    assert_string_equal(e.what(), weft_strerror(-ETIMEDOUT));
    assert_true(e.code() == std::errc::timed_out);
    assert_true(e.code() != std::errc::operation_canceled);
    assert_int_equal(weft::check(ssize_t{ 7 }), 7);
    assert_int_equal(error_of([] { weft::check(-EPIPE); }), -EPIPE);
}

// --- run, block_on, blocking ---------------------------------------------------------

void run_returns_what_the_lambda_does(void **)
{
    weft_config wrong = WEFT_CONFIG_INIT;
    wrong.size = 1;

    assert_true(weft::run([] { return std::string("from a task"); }) == "from a task");
    auto moved = weft::run([p = std::make_unique<int>(41)]() mutable { return std::move(p); });
    assert_int_equal(*moved, 41);
    weft::run([] { assert_non_null(weft_self()); });
    assert_string_equal(expect_throw<std::runtime_error>([] { weft::run([] { fail_with("run"); }); }).what(), "run");
    assert_int_equal(error_of([&] { weft::run([] { return 1; }, &wrong); }), WEFT_BAD_CONFIG);
}

void an_empty_handle_says_so(void **)
{
    weft::run([] {
        weft::task<int> none, some = weft::spawn([] { return 7; });
        assert_string_equal(expect_throw<std::logic_error>([&] { none.join(); }).what(), "weft::task: an empty handle");
        assert_int_equal(some.join(), 7);
        expect_throw<std::logic_error>([&] { some.join(); });
    });
}

void block_on_and_blocking_do_so_too(void **)
{
    weft_rt *rt;
    assert_int_equal(weft_rt_new(&rt, nullptr), 0);
    assert_int_equal(weft::block_on(rt, [] { return 42; }), 42);
    weft::block_on(rt, [] {
        weft_task *self = weft_self();
        assert_null(weft::blocking([] { return weft_self(); }));
        assert_ptr_equal(weft_self(), self);
        auto thrown = expect_throw<std::runtime_error>([] { weft::blocking([] { fail_with("on the pool"); }); });
        assert_string_equal(thrown.what(), "on the pool");
        weft_task_cancel(self);
        assert_int_equal(error_of([] { weft::blocking([] { return 1; }); }), -ECANCELED);
    });
    weft_rt_free(rt);
}

// --- tasks ---------------------------------------------------------------------------

// A thing that cannot be copied, and counts how many there are.
struct thing {
    static std::atomic<int> alive;
    std::unique_ptr<int> value;

    explicit thing(int v) : value(std::make_unique<int>(v)) { alive++; }
    thing(thing &&other) noexcept : value(std::move(other.value)) { alive++; }
    ~thing() { alive--; }
};
std::atomic<int> thing::alive{ 0 };

void join_returns_what_the_task_did(void **)
{
    in_runtime([] {
        int there = 0;
        weft::task<thing> a = weft::spawn([t = thing(40)]() mutable { return thing(*t.value + 1); });
        weft::task<void> b = weft::spawn([&there] {
            weft_yield();
            there = 1;
        });
        weft_spawn_opts named = WEFT_SPAWN_OPTS_INIT;
        named.name = "named";
        auto c = weft::spawn([] { return std::string(weft_task_name(weft_self())); }, named);
        assert_int_equal(*a.join().value, 41);
        b.join();
        assert_int_equal(there, 1);
        assert_true(c.join() == "named");
        assert_null(c.get());
    });
    assert_int_equal(thing::alive.load(), 0);
}

void join_throws_what_the_task_did(void **)
{
    in_runtime([] {
        auto t = weft::spawn([]() -> int {
            weft_yield();
            fail_with("in a task");
        });
        assert_string_equal(expect_throw<std::runtime_error>([&] { t.join(); }).what(), "in a task");
        assert_null(t.get());
    });
}

void who_is_cancelled_keeps_the_handle(void **)
{
    in_runtime([] {
        weft::task<int> slow = weft::spawn([] {
            weft_yield();
            return 42;
        });
        auto joiner = weft::spawn([&slow] {
            weft_task_cancel(weft_self());
            return error_of([&slow] { slow.join(); });
        });
        assert_int_equal(joiner.join(), -ECANCELED);
        assert_non_null(slow.get());
        assert_int_equal(slow.join(), 42);
    });
}

void a_handle_that_is_dropped_ends_its_task(void **)
{
    in_runtime([] {
        std::atomic<int> begun{ 0 }, cancelled{ 0 };
        auto waits = [&begun, &cancelled, t = thing(1)] {
            begun++;
            cancelled += weft_sleep(WEFT_S(3600)) == -ECANCELED;
        };
        {
            auto t = weft::spawn(std::move(waits));
            wait_until([&] { return begun == 1; });
            weft_task_cancel(weft_self()); // the handle waits even so
        }
        assert_int_equal(cancelled.load(), 1);
        assert_int_equal(thing::alive.load(), 1); // the lambda that was moved from
    });
    in_runtime([] {
        auto one = weft::spawn([] { return weft_sleep(WEFT_S(3600)); });
        one = weft::spawn([] { return 2; }); // ends the first
        weft::task<int> &same = one;
        one = std::move(same);
        assert_int_equal(one.join(), 2);
        weft::task<int> none;
        assert_null(none.get());
    });
    assert_int_equal(thing::alive.load(), 0);
}

void a_detached_task_cleans_up(void **)
{
    in_runtime([] {
        std::atomic<int> ended{ 0 };
        weft::spawn([&ended, t = thing(1)] { ended++; }).detach(); // before it begins
        auto other = weft::spawn([&ended, t = thing(1)] { ended++; });
        wait_until([&] { return ended == 2 && other.done() && thing::alive == 0; });
        other.detach(); // after its end
    });
    assert_int_equal(thing::alive.load(), 0);
}

void a_detached_task_that_throws_ends_the_program(void **)
{
    std::string said = what_it_said([] {
        in_runtime([] {
            weft_spawn_opts named = WEFT_SPAWN_OPTS_INIT;
            named.name = "careless";
            weft::spawn([] { fail_with("nobody asks"); }, named).detach();
            weft_sleep(WEFT_S(20));
        });
    });
    expect_said(said, " 'careless': an exception left the task's body\n");
    expect_said(said, "nobody asks");
}

// --- scopes --------------------------------------------------------------------------

void a_scope_waits_for_its_children(void **)
{
    in_runtime([] {
        int sum = 0, parts[10];
        weft::scope s;
        for (int i = 0; i < 10; i++)
            s.spawn([&parts, i, t = thing(i)] {
                weft_sleep(WEFT_US(100));
                parts[i] = *t.value;
            });
        assert_int_equal(s.join(), 0);
        for (int part : parts)
            sum += part;
        assert_int_equal(sum, 45);
    });
    assert_int_equal(thing::alive.load(), 0);
}

// Under many seeds: the others fail because they are cancelled, and none of their
// errors hides the first one.
void the_first_exception_cancels_the_scope(void **)
{
    under_seeds(300, [] {
        std::atomic<int> cancelled{ 0 };
        weft::scope s;
        for (int i = 0; i < 5; i++)
            s.spawn([&cancelled] {
                try {
                    weft::check(weft_sleep(WEFT_S(3600)));
                } catch (const weft::error &e) {
                    cancelled += e.result() == -ECANCELED;
                    throw;
                }
            });
        s.spawn([] {
            weft_yield();
            fail_with("the first");
        });
        assert_string_equal(expect_throw<std::runtime_error>([&] { s.join(); }).what(), "the first");
        assert_int_equal(cancelled.load(), 5);
        assert_false(weft_cancelled()); // the scope is closed
    });
}

void what_decided_a_scope_is_what_join_throws(void **)
{
    under_seeds(100, [] {
        weft::scope late;
        late.deadline(weft_after(WEFT_S(1)));
        late.spawn([] { weft::check(weft_sleep(WEFT_S(3600))); });
        auto e = expect_throw<weft::error>([&] { late.join(); });
        assert_true(e.code() == std::errc::timed_out);
    });
    under_seeds(100, [] {
        weft::scope s;
        s.spawn([] { weft::check(weft_sleep(WEFT_S(3600))); });
        s.spawn([] { return -EPIPE; }); // an error as in C
        assert_int_equal(error_of([&] { s.join(); }), -EPIPE);
    });
    under_seeds(100, [] {
        weft::scope s;
        s.spawn([] { weft::check(weft_sleep(WEFT_S(3600))); });
        s.cancel();
        assert_int_equal(error_of([&] { s.join(); }), -ECANCELED);
    });
}

void the_policies_are_those_of_c(void **)
{
    under_seeds(100, [] {
        weft::scope race(WEFT_SCOPE_RACE);
        race.spawn([]() -> int { fail_with("a loser"); });
        race.spawn([] {
            weft_sleep(WEFT_S(1));
            return 42;
        });
        race.spawn([] { return weft_sleep(WEFT_S(3600)); });
        assert_int_equal(race.join(), 42);
    });
    under_seeds(100, [] {
        weft::scope race(WEFT_SCOPE_RACE);
        for (int i = 0; i < 3; i++)
            race.spawn([]() -> int { fail_with("all lose"); });
        assert_string_equal(expect_throw<std::runtime_error>([&] { race.join(); }).what(), "all lose");
    });
    under_seeds(100, [] {
        int others = 0;
        weft::scope collect(WEFT_SCOPE_COLLECT);
        collect.spawn([] { fail_with("one of three"); });
        for (int i = 0; i < 2; i++)
            collect.spawn([&others] { others += weft_sleep(WEFT_S(1)) == 0; });
        assert_string_equal(expect_throw<std::runtime_error>([&] { collect.join(); }).what(), "one of three");
        assert_int_equal(others, 2);
    });
}

// The scope waits in a destructor while the stack is unwound, and other tasks throw and
// catch meanwhile.
void an_exception_passes_through_a_scope(void **)
{
    auto body = [] {
        std::atomic<int> ended{ 0 };
        auto thrown = expect_throw<std::runtime_error>([&ended] {
            weft::scope s;
            for (int i = 0; i < 4; i++)
                s.spawn([&ended] {
                    try {
                        weft::check(weft_sleep(WEFT_S(3600)));
                    } catch (const weft::error &e) {
                        weft::shield uncut;
                        weft_yield();
                        ended += e.result() == -ECANCELED;
                        throw std::logic_error("is dropped");
                    }
                });
            weft_yield();
            fail_with("the opener's own");
        });
        assert_string_equal(thrown.what(), "the opener's own");
        assert_int_equal(ended.load(), 4);
        assert_int_equal(std::uncaught_exceptions(), 0);
    };
    under_seeds(300, body);
    in_runtime([&body] {
        for (unsigned i = wf_test_rounds(100); i > 0; i--)
            body();
    });
}

void scopes_nest_and_pass_exceptions_out(void **)
{
    under_seeds(200, [] {
        weft::scope outer;
        outer.spawn([] {
            weft::scope inner;
            inner.spawn([] { fail_with("from the depth"); });
            inner.spawn([] { weft::check(weft_sleep(WEFT_S(3600))); });
            inner.join();
        });
        outer.spawn([] { weft::check(weft_sleep(WEFT_S(3600))); });
        assert_string_equal(expect_throw<std::runtime_error>([&] { outer.join(); }).what(), "from the depth");
    });
}

// --- the rest ------------------------------------------------------------------------

void a_mutex_fits_the_standard_guards(void **)
{
    in_runtime([] {
        weft::mutex m;
        long count = 0;
        weft::scope s;
        for (int i = 0; i < 8; i++)
            s.spawn([&] {
                for (int n = 0; n < 100; n++) {
                    std::lock_guard<weft::mutex> guard(m);
                    long before = count;
                    if (n % 10 == 0)
                        weft_yield();
                    count = before + 1;
                }
            });
        s.join();
        assert_int_equal(count, 800);
        std::unique_lock<weft::mutex> held(m);
        assert_false(m.try_lock());
        auto other = weft::spawn([&m] {
            weft_task_cancel(weft_self());
            return error_of([&m] { std::lock_guard<weft::mutex> guard(m); });
        });
        assert_int_equal(other.join(), -ECANCELED);
    });
}

void each_task_costs_one_allocation(void **)
{
    in_runtime([] {
        enum { TASKS = 50 };
        std::vector<weft::task<int>> tasks;
        tasks.reserve(TASKS);
        long before = allocated;
        for (int i = 0; i < TASKS; i++)
            tasks.push_back(weft::spawn([i] { return i; }));
        for (int i = 0; i < TASKS; i++)
            assert_int_equal(tasks[static_cast<size_t>(i)].join(), i);
        assert_int_equal(allocated - before, COUNTS * TASKS);
        before = allocated;
        weft::scope s;
        for (int i = 0; i < TASKS; i++)
            s.spawn([i] { return i; });
        s.join();
        weft::blocking([] { return 1; });
        assert_int_equal(allocated - before, COUNTS * TASKS);
    });
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_is_what_the_call_returned),
        cmocka_unit_test(run_returns_what_the_lambda_does),
        cmocka_unit_test(an_empty_handle_says_so),
        cmocka_unit_test(block_on_and_blocking_do_so_too),
        cmocka_unit_test(join_returns_what_the_task_did),
        cmocka_unit_test(join_throws_what_the_task_did),
        cmocka_unit_test(who_is_cancelled_keeps_the_handle),
        cmocka_unit_test(a_handle_that_is_dropped_ends_its_task),
        cmocka_unit_test(a_detached_task_cleans_up),
        cmocka_unit_test(a_detached_task_that_throws_ends_the_program),
        cmocka_unit_test(a_scope_waits_for_its_children),
        cmocka_unit_test(the_first_exception_cancels_the_scope),
        cmocka_unit_test(what_decided_a_scope_is_what_join_throws),
        cmocka_unit_test(the_policies_are_those_of_c),
        cmocka_unit_test(an_exception_passes_through_a_scope),
        cmocka_unit_test(scopes_nest_and_pass_exceptions_out),
        cmocka_unit_test(a_mutex_fits_the_standard_guards),
        cmocka_unit_test(each_task_costs_one_allocation),
    };
    return wf_test_run(tests);
}
