// C++ exceptions in tasks, with the C interface alone: a task may park in a handler,
// and in a destructor that runs while the stack is unwound, and continue on another
// thread.
#include "tests/support/cxx.h"

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <sys/syscall.h>

namespace {

enum { TASKS = 32, ROUNDS = 200 };

int nothing(void *)
{
    return 0;
}

// park parks in one of several ways, and may come back on another thread.
void park(struct wf_test_rand *r)
{
    weft_task *t;
    switch (wf_test_below(r, 4)) {
    case 0:
        assert_int_equal(weft_sleep(WEFT_US(wf_test_below(r, 50))), 0);
        break;
    case 1:
        assert_int_equal(weft_spawn(&t, nothing, nullptr), 0);
        assert_int_equal(weft_join(t, nullptr), 0);
        break;
    default:
        assert_int_equal(weft_yield(), 0);
    }
}

std::string a_name(struct wf_test_rand *r, const char *kind)
{
    char text[64]; // too long for the string's own place, so that AddressSanitizer sees where it is freed
    snprintf(text, sizeof(text), "the %s exception of task %llu, number %u", kind,
             static_cast<unsigned long long>(weft_task_id(weft_self())), wf_test_below(r, 1000000));
    return text;
}

// throw_current tells what the exception that is being handled says.
std::string say_current()
{
    try {
        throw;
    } catch (const std::string &s) {
        return s;
    }
}

std::string say(const std::exception_ptr &e)
{
    try {
        std::rethrow_exception(e);
    } catch (const std::string &s) {
        return s;
    }
}

// --- what a task does ----------------------------------------------------------------

void park_in_a_handler(struct wf_test_rand *r)
{
    std::string name = a_name(r, "only");
    try {
        throw name;
    } catch (const std::string &s) {
        park(r);
        assert_true(s == name);
        assert_true(say_current() == name); // throw; after a move
        park(r);
        assert_true(say(std::current_exception()) == name);
    }
    assert_true(!std::current_exception());
}

void park_in_nested_handlers(struct wf_test_rand *r)
{
    std::string outer = a_name(r, "outer"), inner = a_name(r, "inner");
    try {
        throw outer;
    } catch (const std::string &first) {
        park(r);
        try {
            throw inner;
        } catch (const std::string &second) {
            park(r);
            assert_true(first == outer && second == inner);
            assert_true(say_current() == inner);
        }
        assert_true(say_current() == outer);
        park(r);
        assert_true(say(std::current_exception()) == outer);
    }
    assert_true(!std::current_exception());
}

// Its destructor parks, and does so in a handler as well, while the stack is unwound.
struct clean_up {
    struct wf_test_rand *r;
    int unwound; // exceptions that are in flight when it is destroyed

    ~clean_up()
    {
        assert_int_equal(std::uncaught_exceptions(), unwound);
        park(r);
        assert_int_equal(std::uncaught_exceptions(), unwound);
        park_in_a_handler(r);
        park(r);
        assert_int_equal(std::uncaught_exceptions(), unwound);
    }
};

void park_while_unwinding(struct wf_test_rand *r)
{
    std::string name = a_name(r, "passing");
    clean_up calm{ r, 0 };
    try {
        clean_up torn{ r, 1 };
        throw name;
    } catch (const std::string &s) {
        assert_int_equal(std::uncaught_exceptions(), 0);
        park(r);
        assert_true(s == name);
    }
    assert_int_equal(std::uncaught_exceptions(), 0);
}

// Rethrown from a handler that has parked, through frames whose destructors park, to a
// handler farther out.
void rethrow_after_a_park(struct wf_test_rand *r)
{
    std::string name = a_name(r, "rethrown");
    try {
        clean_up outside{ r, 1 };
        try {
            throw name;
        } catch (...) {
            park(r);
            throw;
        }
    } catch (const std::string &s) {
        park(r);
        assert_true(s == name);
    }
}

// A task that throws nothing finds nothing, whichever task ran on the thread before it.
void find_nothing(struct wf_test_rand *r)
{
    assert_true(!std::current_exception());
    assert_int_equal(std::uncaught_exceptions(), 0);
    park(r);
    assert_true(!std::current_exception());
    assert_int_equal(std::uncaught_exceptions(), 0);
}

struct one {
    unsigned rounds;
    long moves;
};

// live does all of it, again and again. In a handler it counts how often it comes back
// on another thread.
int live(void *arg)
{
    static void (*const ways[])(struct wf_test_rand *) = { park_in_a_handler, park_in_nested_handlers,
                                                           park_while_unwinding, rethrow_after_a_park, find_nothing };
    struct wf_test_rand r = wf_test_rand(weft_task_id(weft_self()));
    one *self = static_cast<one *>(arg);

    for (unsigned i = 0; i < self->rounds; i++) {
        try {
            throw i;
        } catch (unsigned n) {
            long before = syscall(SYS_gettid);
            park(&r);
            self->moves += before != syscall(SYS_gettid);
            assert_int_equal(n, i);
        }
        ways[wf_test_below(&r, sizeof(ways) / sizeof(ways[0]))](&r);
    }
    return 0;
}

long live_all(unsigned rounds, unsigned tasks)
{
    weft_task *handles[TASKS];
    one all[TASKS];
    long moves = 0;

    for (unsigned i = 0; i < tasks; i++) {
        all[i] = { rounds, 0 };
        assert_int_equal(weft_spawn(&handles[i], live, &all[i]), 0);
    }
    for (unsigned i = 0; i < tasks; i++) {
        assert_int_equal(weft_join(handles[i], nullptr), 0);
        moves += all[i].moves;
    }
    return moves;
}

// --- tests ---------------------------------------------------------------------------

void each_task_has_its_own_exceptions(void **)
{
    long moves = 0;

    in_runtime([&] { moves = live_all(wf_test_rounds(ROUNDS), TASKS); });
    printf("%ld moves in a handler\n", moves);
}

void a_test_run_in_a_handler_leaves_it_alone(void **)
{
    try {
        throw std::string("the caller's own, which is long enough to lie on the heap");
    } catch (const std::string &s) {
        under_seeds(100, [] {
            assert_true(!std::current_exception());
            live_all(3, 4);
        });
        assert_true(say_current() == s);
    }
    assert_true(!std::current_exception());
}

// The state is the task's in the midst of a `throw` on which a C function of the
// runtime lies: a child's destructor, called by the task-local values' destruction.
void a_handler_that_parks_in_a_destructor_of_a_local_value(void **)
{
    in_runtime([] {
        weft_local key;
        assert_int_equal(weft_local_key(&key,
                                        [](void *) {
                                            struct wf_test_rand r = wf_test_rand(1);
                                            park_while_unwinding(&r);
                                        }),
                         0);
        static weft_local the_key;
        the_key = key;
        weft_task *t;
        assert_int_equal(weft_spawn(&t, [](void *) { return weft_local_set(the_key, &the_key); }, nullptr), 0);
        assert_int_equal(weft_join(t, nullptr), 0);
    });
}

int throws(void *)
{
    weft_yield();
    throw std::runtime_error("nobody wants it");
}

void an_exception_that_leaves_a_task_names_it(void **)
{
    std::string said = what_it_said([] {
        in_runtime([] {
            weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
            weft_task *t;
            o.name = "careless";
            assert_int_equal(weft_spawn_with(&t, &o, throws, nullptr), 0);
            weft_join(t, nullptr);
        });
    });
    expect_said(said, "weft: task ");
    expect_said(said, " 'careless': an exception left the task's body\n");
    expect_said(said, "nobody wants it"); // std::terminate's own words: it was called with the exception
}

void one_that_leaves_a_child_of_a_scope_does_so_too(void **)
{
    std::string said = what_it_said([] {
        in_runtime([] {
            weft_scope s;
            weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
            assert_int_equal(weft_scope_spawn(&s, throws, nullptr), 0);
            weft_scope_close(&s);
        });
    });
    expect_said(said, ": an exception left the task's body\n");
    expect_said(said, "nobody wants it");
}

void an_exception_that_is_caught_says_nothing(void **)
{
    std::string said = what_it_said([] {
        in_runtime([] {
            try {
                throws(nullptr);
            } catch (const std::runtime_error &) {
                weft_yield();
            }
        });
        abort();
    });
    assert_string_equal(said.c_str(), "");
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_task_has_its_own_exceptions),
        cmocka_unit_test(a_test_run_in_a_handler_leaves_it_alone),
        cmocka_unit_test(a_handler_that_parks_in_a_destructor_of_a_local_value),
        cmocka_unit_test(an_exception_that_leaves_a_task_names_it),
        cmocka_unit_test(one_that_leaves_a_child_of_a_scope_does_so_too),
        cmocka_unit_test(an_exception_that_is_caught_says_nothing),
    };
    return wf_test_run(tests);
}
