// weft for C++17: lambdas as tasks, scopes that close themselves, exceptions that go
// from a child to its scope.
//
//     int n = weft::run([] {                                        // a whole program
//         weft::task<int> count = weft::spawn([] { return 40; });   // a task with a result
//         weft::scope scope;
//         scope.deadline(weft_after(WEFT_S(5)));
//         for (const job &j : jobs)
//             scope.spawn([&j] { j.fetch(); });                     // a child; it may use the parent's stack
//         scope.join();                                             // waits for all; throws what a child has thrown
//         return count.join() + 2;                                  // the task's result, or what it has thrown
//     });
//
// The C calls may be used as well: weft::check(weft_read(fd, buffer, sizeof(buffer)))
// throws if the call returns an error.
//
// A task may park in a catch block, and in a destructor that runs while the stack is
// unwound (weft/task.h). A lambda that becomes a task is moved or copied into one
// allocation, with its result, and destroyed on its task when it has returned. If there
// is no memory for it, std::bad_alloc is thrown and no task is made.
#ifndef WEFT_WEFT_HPP
#define WEFT_WEFT_HPP

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <type_traits>
#include <utility>
#include <weft.h>

namespace weft {

// weft::error is an exception for a negative result of a weft call. what() is the text
// of weft_strerror. code() is the errno value, if there is one: e.code() ==
// std::errc::timed_out.
class error : public std::system_error {
  public:
    explicit error(int result) : std::system_error(-result, std::generic_category()) {}
    const char *what() const noexcept override { return weft_strerror(code().value()); }
    int result() const noexcept { return -code().value(); } // as the C call returned it: below 0
};

// weft::check returns a result of 0 or more. Throws: weft::error for one below 0.
template <class N> N check(N result)
{
    if (result < 0)
        throw error(static_cast<int>(result));
    return result;
}

namespace detail {
template <class F> using result_of = std::decay_t<std::invoke_result_t<std::decay_t<F> &>>;

// What a lambda has returned or thrown.
template <class R> struct outcome {
    std::optional<std::conditional_t<std::is_void_v<R>, bool, R>> value;
    std::exception_ptr thrown;

    template <class F> void take(F &fn) noexcept
    {
        try {
            if constexpr (std::is_void_v<R>)
                fn(), value = true;
            else
                value.emplace(fn());
        } catch (...) {
            thrown = std::current_exception();
        }
    }
    // `result` is the C call's: the error, if the lambda did not run.
    R give(int result)
    {
        if (thrown)
            std::rethrow_exception(std::exchange(thrown, nullptr));
        if (!value)
            throw error(result);
        if constexpr (!std::is_void_v<R>)
            return std::move(*value);
    }
};

// A lambda that its caller waits for, in the caller's frame.
template <class F> struct frame {
    std::remove_reference_t<F> &fn;
    outcome<result_of<F>> end;

    static int body(void *arg)
    {
        static_cast<frame *>(arg)->end.take(static_cast<frame *>(arg)->fn);
        return 0;
    }
};

// A lambda that is a task, with its result. The task and its handle own it together:
// the last owner frees it.
template <class R> struct shared {
    outcome<R> end;
    std::atomic<int> owners{ 2 };

    virtual ~shared() = default;
    // Throws: what the task has thrown, if its owner is the last one and no caller can
    // ask for it any more.
    static void leave(shared *self, bool asked)
    {
        if (self->owners.fetch_sub(1, std::memory_order_acq_rel) > 1)
            return;
        std::exception_ptr thrown = asked ? nullptr : self->end.thrown;
        delete self;
        if (thrown)
            std::rethrow_exception(thrown);
    }
};

template <class F> struct spawned final : shared<result_of<F>> {
    std::optional<F> fn;

    template <class G> explicit spawned(G &&given) : fn(std::forward<G>(given)) {}
    static int body(void *arg)
    {
        auto *self = static_cast<spawned *>(arg);
        self->end.take(*self->fn);
        self->fn.reset();
        shared<result_of<F>>::leave(self, false);
        return 0;
    }
};
} // namespace detail

// weft::run is weft_run: a whole program. weft::block_on is weft_rt_block_on,
// weft::blocking is weft_blocking. All three wait until fn() has returned, and allocate
// nothing.
// Returns: what fn has returned. Throws: what fn has thrown; weft::error if fn did not
//          run.
// Context: that of the C call. blocking may park, and is a cancellation point.
template <class F> detail::result_of<F> run(F &&fn, const weft_config *cfg = nullptr)
{
    detail::frame<F> f{ fn, {} };
    return f.end.give(weft_run(cfg, f.body, &f));
}
template <class F> detail::result_of<F> block_on(weft_rt *rt, F &&fn)
{
    detail::frame<F> f{ fn, {} };
    return f.end.give(weft_rt_block_on(rt, f.body, &f));
}
template <class F> detail::result_of<F> blocking(F &&fn)
{
    detail::frame<F> f{ fn, {} };
    return f.end.give(weft_blocking(f.body, &f));
}

// weft::shield defers the task's cancel during its lifetime, as weft_shield_begin and
// _end do.
class shield {
  public:
    explicit shield(weft_time grace = WEFT_NEVER) { weft_shield_begin(grace); }
    shield &operator=(shield &&) = delete; // neither copied nor moved
    ~shield() { weft_shield_end(); }
};

// weft::task is the handle of a task: it can be moved, not copied. R is what the lambda
// returns. A handle that is destroyed, or assigned to, before join or detach cancels
// its task and waits for its end, even if the caller is cancelled; the task's result,
// or exception, is dropped. An empty handle (default-made, moved from, joined,
// detached) may only be assigned to and destroyed. Other calls throw std::logic_error,
// or end the program if they are noexcept.
template <class R> class task {
    weft_task *handle = nullptr;
    detail::shared<R> *state = nullptr;

    weft_task *held() const { return handle ? handle : throw std::logic_error("weft::task: an empty handle"); }
    void end() noexcept
    {
        if (!handle)
            return;
        weft_task_cancel(handle);
        shield uncut;
        (void)weft_join(std::exchange(handle, nullptr), nullptr);
        detail::shared<R>::leave(state, true);
    }

  public:
    task() noexcept = default;
    task(weft_task *t, detail::shared<R> *s) noexcept : handle(t), state(s) {}
    task(task &&other) noexcept : handle(std::exchange(other.handle, nullptr)), state(other.state) {}
    task &operator=(task other) noexcept
    {
        std::swap(handle, other.handle);
        std::swap(state, other.state);
        return *this;
    }
    ~task() { end(); }

    // join waits until the task has ended, and gives up the handle. Context: task. May
    // park.
    // Returns: what the lambda has returned.
    // Throws:  what it has thrown. weft::error, and the handle is still the caller's,
    //          if the caller was cancelled.
    R join()
    {
        int result;
        check(weft_join(held(), &result));
        handle = nullptr;
        auto end = std::move(state->end);
        detail::shared<R>::leave(state, true);
        return end.give(result);
    }
    // detach gives up the handle. An exception that the task throws, or has thrown,
    // ends the program.
    void detach() noexcept
    {
        (void)held();
        weft_detach(std::exchange(handle, nullptr));
        detail::shared<R>::leave(state, false);
    }
    void cancel() noexcept { weft_task_cancel(held()); }
    bool done() const noexcept { return weft_task_done(held()); }
    // get is the task for C calls, which must not join or detach it; nullptr after
    // join, detach and a move.
    weft_task *get() const noexcept { return handle; }
};

// weft::spawn starts fn() as a task of the calling task's runtime, in no scope.
// Throws:  weft::error: -ENOMEM; -ECANCELED once the runtime stops; -EINVAL: an option
//          out of range.
// Context: task. Never parks.
template <class F>
[[nodiscard]] task<detail::result_of<F>> spawn(F &&fn, const weft_spawn_opts &opts = WEFT_SPAWN_OPTS_INIT)
{
    auto state = std::make_unique<detail::spawned<std::decay_t<F>>>(std::forward<F>(fn));
    weft_task *handle;
    check(weft_spawn_with(&handle, &opts, state->body, state.get()));
    return { handle, state.release() };
}

// weft::scope is a weft_scope that is open in its lifetime: children, a deadline and
// cancellation in one. The task that makes it destroys it. If it is destroyed without
// join (by an exception, say), it is cancelled, waits for its children, and drops their
// results and exceptions.
class scope {
    static constexpr int threw = -0x7fff0000; // what a child returns that has thrown: no other call does
    weft_scope own;
    bool open = true;
    std::atomic<bool> has_thrown{ false };
    std::exception_ptr thrown; // by the first child that did

    template <class F> struct child {
        scope *home;
        F fn;

        static int body(void *arg)
        {
            std::unique_ptr<child> self(static_cast<child *>(arg));
            try {
                if constexpr (std::is_convertible_v<std::invoke_result_t<F &>, int>)
                    return self->fn();
                else
                    return self->fn(), 0;
            } catch (...) {
                if (!self->home->has_thrown.exchange(true, std::memory_order_relaxed)) // close orders it
                    self->home->thrown = std::current_exception();
                return threw;
            }
        }
    };

  public:
    explicit scope(int policy = WEFT_SCOPE_FAIL_FAST) { weft_scope_open(&own, policy); }
    scope &operator=(scope &&) = delete;
    ~scope()
    {
        if (open)
            weft_scope_cancel(&own), (void)weft_scope_close(&own);
    }

    // spawn starts fn() as a child. An int that it returns is its result for the
    // scope's policy, below 0 an error; an exception is an error, too: in a scope that
    // is WEFT_SCOPE_FAIL_FAST the first one cancels the scope.
    // Throws:  weft::error as weft::spawn.
    // Context: the task that made the scope, or any task inside it. Never parks.
    template <class F> void spawn(F &&fn, weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT)
    {
        using child_type = child<std::decay_t<F>>;
        std::unique_ptr<child_type> c(new child_type{ this, std::forward<F>(fn) });
        opts.scope = &own;
        check(weft_spawn_with(nullptr, &opts, c->body, c.get()));
        (void)c.release();
    }
    // join waits until all children have ended, and closes the scope.  Context: its
    // maker, once. May park.
    // Returns: what weft_scope_close does: 0, or the result of the child that has won a
    //          race.
    // Throws:  what decided the scope: a child's exception, or weft::error for an
    //          error, a cancel or the deadline.
    int join()
    {
        open = false;
        int result = weft_scope_close(&own);
        if (result == threw)
            std::rethrow_exception(thrown);
        return check(result);
    }
    void cancel() noexcept { weft_scope_cancel(&own); }
    void deadline(weft_time when) { weft_scope_deadline(&own, when); }
    weft_scope *get() noexcept { return &own; }
};

// weft::mutex is a weft_mutex for std::lock_guard, std::unique_lock and their kin.
// lock() parks, and throws weft::error if the task is cancelled: then it does not hold
// the mutex.
class mutex {
    weft_mutex own = WEFT_MUTEX_INIT;

  public:
    mutex &operator=(mutex &&) = delete;
    ~mutex() { weft_mutex_destroy(&own); }
    void lock() { check(weft_mutex_lock(&own)); }
    bool try_lock() { return weft_mutex_try_lock(&own) == 0; }
    void unlock() { weft_mutex_unlock(&own); }
    weft_mutex *get() noexcept { return &own; }
};
} // namespace weft

#endif
