// Each check accepts a correct structure, and stops a program with a broken one. For
// each row a child process makes a structure, checks it, breaks it, and checks it
// again.
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cell.h"
#include "base/clock.h"
#include "base/list.h"
#include "reactor/state.h"
#include "runtime/chan/buffer.h"
#include "runtime/chan/bcast.h"
#include "runtime/chan/chan.h"
#include "runtime/state.h"
#include "runtime/sync/mutex.h"
#include "runtime/sync/queue.h"
#include "runtime/sync/rwlock.h"
#include "runtime/sync/sem.h"
#include "runtime/wait/scope.h"
#include "sched/idle.h"
#include "sched/queues/deque.h"
#include "sched/queues/injector.h"
#include "sched/queues/ring.h"
#include "sched/stacks/headers.h"
#include "sched/stacks/stack.h"
#include "tests/support/child.h"
#include "timerwheel/timerwheel.h"

// The rows leave by this if making a structure fails, or its first check passed over
// something: no row expects that.
enum { NOT_MADE = 9 };

static void must(bool made)
{
    if (!made)
        _exit(NOT_MADE);
}

static struct wf_task tasks[4];

// --- base ----------------------------------------------------------------------------

static struct wf_list head, links[2];

static void make_list(void)
{
    wf_list_init(&head);
    wf_list_append(&head, &links[0]);
    wf_list_append(&head, &links[1]);
    must(wf_list_check(&head) == 2);
}

static void spoil_list(void)
{
    make_list();
    links[1].prev = &head;
    wf_list_check(&head);
}

static struct wf_cell cell;
static struct wf_cell_node node;

static void ring_bell(void *arg)
{
    (void)arg;
}

static void make_cell(void)
{
    wf_cell_init(&cell);
    node.waker = (struct wf_waker){ ring_bell, NULL };
    wf_cell_check(&cell);
    must(wf_cell_push(&cell, &node));
    wf_cell_check(&cell);
}

static void spoil_cell_known(void)
{
    make_cell();
    wf_store_relaxed(&cell.word, (uintptr_t)WF_CELL_KNOWN); // relaxed, here and below: there is one thread
    wf_cell_check(&cell);
}

static void spoil_cell_away(void)
{
    make_cell();
    wf_fetch_or_relaxed(&cell.word, (uintptr_t)(WF_CELL_AWAY | WF_CELL_KNOWN)); // relaxed: as above
    wf_cell_check(&cell);
}

// --- sched ---------------------------------------------------------------------------

static struct wf_deque deque;

static void make_deque(void)
{
    must(wf_deque_push(&deque, &tasks[0]) && wf_deque_push(&deque, &tasks[1]));
    wf_deque_check(&deque);
}

static void spoil_deque_head(void)
{
    make_deque();
    wf_fetch_add_relaxed(&deque.head, 3); // relaxed: there is one thread
    wf_deque_check(&deque);
}

static void spoil_deque_tail(void)
{
    make_deque();
    wf_fetch_add_relaxed(&deque.tail, WF_QUEUE_CAP); // relaxed: as above
    wf_deque_check(&deque);
}

static void spoil_deque_slot(void)
{
    make_deque();
    wf_store_relaxed(&deque.slot[1], NULL); // relaxed: as above
    wf_deque_check(&deque);
}

static struct wf_ring ring;

static void make_ring(void)
{
    must(wf_ring_push(&ring, &tasks[0]) && wf_ring_push(&ring, &tasks[1]));
    wf_ring_check(&ring);
}

static void spoil_ring_head(void)
{
    make_ring();
    wf_fetch_add_relaxed(&ring.head, 3); // relaxed: there is one thread
    wf_ring_check(&ring);
}

static void spoil_ring_tail(void)
{
    make_ring();
    wf_fetch_add_relaxed(&ring.tail, WF_RING_CAP); // relaxed: as above
    wf_ring_check(&ring);
}

static void spoil_ring_slot(void)
{
    make_ring();
    wf_store_relaxed(&ring.slot[0], NULL); // relaxed: as above
    wf_ring_check(&ring);
}

static struct wf_injector injector;

static void make_injector(void)
{
    struct wf_chain chain = { 0 };

    wf_chain_append(&chain, &tasks[0]);
    wf_chain_append(&chain, &tasks[1]);
    wf_injector_push(&injector, &chain);
    must(wf_lock_try(&injector.taking));
    wf_injector_check(&injector);
}

static void spoil_injector_tail(void)
{
    make_injector();
    wf_store_relaxed(&injector.tail, NULL); // relaxed: there is one thread
    wf_injector_check(&injector);
}

static void spoil_injector_link(void)
{
    make_injector();
    wf_store_relaxed(&tasks[1].next, &tasks[0]); // relaxed: as above
    wf_injector_check(&injector);
}

static void spoil_injector_lock(void)
{
    make_injector();
    wf_lock_release(&injector.taking);
    wf_injector_check(&injector);
}

static struct wf_idle idle;

static void make_idle(void)
{
    wf_idle_init(&idle, 3);
    wf_idle_check(&idle, 2, false);
    must(wf_idle_search_begin(&idle));
    wf_idle_check(&idle, 2, true);
    wf_idle_sleep(&idle, 1, false);
    wf_idle_check(&idle, 2, true);
}

static void spoil_idle_own(void)
{
    make_idle();
    wf_idle_check(&idle, 1, false);
}

static void spoil_idle_set(void)
{
    make_idle();
    wf_fetch_or_seq_cst(&idle.asleep[0], UINT64_C(8)); // there is no fourth worker
    wf_idle_check(&idle, 2, true);
}

static void spoil_idle_searching(void)
{
    make_idle();
    wf_store_relaxed(&idle.searching, 0u); // relaxed: there is one thread
    wf_idle_check(&idle, 2, true);
}

static void spoil_idle_poller(void)
{
    make_idle();
    wf_store_relaxed(&idle.poller, 3); // relaxed: as above
    wf_idle_check(&idle, 2, true);
}

static struct wf_headers headers;
static struct wf_header_list local;

static struct wf_task *make_headers(void)
{
    wf_headers_init(&headers, sizeof(struct wf_task));
    struct wf_task *task = wf_headers_take(&headers, &local);
    must(task != NULL);
    wf_headers_check(&headers, &local);
    return task;
}

static void spoil_headers_count(void)
{
    wf_headers_give(&headers, NULL, make_headers());
    headers.shared = (struct wf_header_list){ wf_header_pop(&headers.shared), 2 };
    wf_store_relaxed(&headers.shared.free->next, NULL); // relaxed: there is one thread
    wf_headers_check(&headers, NULL);
}

static void spoil_headers_live(void)
{
    make_headers();
    wf_task_begin(local.free); // which is free
    wf_headers_check(&headers, &local);
}

static struct wf_depot depot;
static struct wf_stack_pool pool;

static struct wf_stack *make_depot(void)
{
    wf_depot_init(&depot);
    struct wf_stack *stack = wf_stack_take(&pool, &depot, WF_STACK_CLASS_MIN);
    must(stack != NULL);
    wf_depot_check(&depot);
    return stack;
}

static void spoil_depot_count(void)
{
    make_depot();
    depot.pools[1].count++;
    wf_depot_check(&depot);
}

static void spoil_depot_list(void)
{
    struct wf_stack *stack = make_depot();

    wf_stack_give(&pool, &depot, stack);
    wf_stack_spill(&pool, &depot, WF_STACK_CLASS_MIN);
    wf_depot_check(&depot);
    depot.pools[0].free = depot.pools[0].free->next; // one is lost
    wf_depot_check(&depot);
}

// --- timerwheel and reactor ----------------------------------------------------------

static struct wf_wheel wheel;
static struct wf_wheel_node timer;

static void make_wheel(void)
{
    wf_wheel_init(&wheel, 0);
    wf_wheel_insert(&wheel, &timer, 1000000000);
    wf_wheel_check(&wheel);
}

static void spoil_wheel_count(void)
{
    make_wheel();
    wheel.count++;
    wf_wheel_check(&wheel);
}

static void spoil_wheel_slot(void)
{
    make_wheel();
    timer.deadline *= 100; // it belongs elsewhere
    wf_wheel_check(&wheel);
}

static struct wf_reactor *reactor;

static struct wf_source *make_source(void)
{
    struct wf_source *s;
    uint32_t generation;

    must(wf_reactor_new(&reactor, 2) == 0);
    must(wf_source_register(reactor, eventfd(0, EFD_CLOEXEC), &s, &generation) == 0);
    wf_sources_check(reactor);
    return s;
}

static void spoil_source_fd(void)
{
    make_source()->fd++;
    wf_sources_check(reactor);
}

static void spoil_source_cell(void)
{
    wf_store_relaxed(&make_source()->changed.word, (uintptr_t)WF_CELL_KNOWN); // relaxed: there is one thread
    wf_sources_check(reactor);
}

static void spoil_source_generation(void)
{
    struct wf_source *s = make_source();

    must(wf_source_forget(reactor, s->fd));
    wf_sources_check(reactor);
    wf_store_relaxed(&s->generation, 1u); // relaxed: as above; it was 2 when it was forgotten
    wf_sources_check(reactor);
}

static void spoil_timers(void)
{
    static struct wf_timer armed;

    must(wf_reactor_new(&reactor, 2) == 0);
    wf_timers_check(reactor);
    wf_timer_arm(reactor, 1, &armed, wf_now() + 1000000000, (struct wf_waker){ ring_bell, NULL });
    wf_timers_check(reactor);
    wf_store_relaxed(&reactor->next[1], WF_NEVER); // relaxed: as above; no thread would wake up for it
    wf_timers_check(reactor);
}

// --- runtime -------------------------------------------------------------------------

static struct wf_buffer buffer;

static void fill(size_t capacity)
{
    static const uint64_t message[2] = { 7 };

    must(wf_buffer_init(&buffer, sizeof(message), capacity) == 0);
    wf_buffer_check(&buffer);
    for (int i = 0; i < 3; i++)
        while (!wf_buffer_put(&buffer, message))
            must(wf_buffer_grow(&buffer, wf_buffer_block(&buffer)) == NULL);
    wf_buffer_check(&buffer);
}

static void spoil_ring_count(void)
{
    fill(4);
    wf_store_relaxed(&buffer.count, (size_t)2); // relaxed: there is one thread
    wf_buffer_check(&buffer);
}

static void spoil_ring_full(void)
{
    fill(4);
    wf_store_relaxed(&buffer.count, (size_t)5); // relaxed: as above
    wf_buffer_check(&buffer);
}

static void spoil_ring_place(void)
{
    fill(4);
    buffer.get++;
    wf_buffer_check(&buffer);
}

static void spoil_chain_count(void)
{
    fill(SIZE_MAX);
    wf_store_relaxed(&buffer.count, (size_t)2); // relaxed: as above
    wf_buffer_check(&buffer);
}

static void spoil_cast(void)
{
    struct wf_bcast *cast = wf_bcast_new(sizeof(*cast), 8, 4);

    must(cast != NULL);
    wf_lock_acquire(&cast->lock);
    wf_bcast_put(cast, NULL);
    wf_bcast_check(cast);
    wf_fetch_add_relaxed(&cast->count, 1); // relaxed: as above
    wf_bcast_check(cast);
}

static struct wf_queue queue;
static struct wf_waiter waiter;

static void make_queue(void)
{
    wf_queue_init(&queue);
    wf_queue_lock(&queue);
    wf_queue_check(&queue, false);
    wf_waiter_init(&waiter, &tasks[0]);
    wf_queue_join(&queue, &waiter);
    wf_queue_check(&queue, true);
}

static void spoil_queue_mark(void)
{
    make_queue();
    wf_queue_check(&queue, false);
}

static void spoil_queue_waiter(void)
{
    make_queue();
    waiter.queued = false;
    wf_queue_check(&queue, true);
}

static void spoil_queue_granted(void)
{
    make_queue();
    wf_store_relaxed(&waiter.state, WF_WAITER_CHOSEN); // relaxed: as above
    wf_queue_check(&queue, true);
}

static struct wf_chan_waiter sender, receiver;

// make_chan makes a rendezvous at which one select waits, for both ends.
static weft_chan *make_chan(void)
{
    static struct wf_choice choice;
    weft_chan *c;

    must(weft_chan_new(&c, sizeof(uint64_t), 0) == 0);
    wf_chan_check(c);
    wf_choice_init(&choice);
    wf_waiter_init(&receiver.waiter, &tasks[0]);
    wf_waiter_init(&sender.waiter, &tasks[0]);
    receiver.waiter.choice = sender.waiter.choice = &choice;
    must(wf_chan_join_recv(c, &receiver) == -EAGAIN && wf_chan_join_send(c, &sender) == -EAGAIN);
    wf_chan_check(c);
    return c;
}

static void spoil_chan_met(void)
{
    weft_chan *c = make_chan();

    receiver.waiter.choice = sender.waiter.choice = NULL; // two tasks that should have met
    wf_chan_check(c);
}

static void spoil_chan_waiter(void)
{
    weft_chan *c = make_chan();

    sender.waiter.queued = false;
    wf_chan_check(c);
}

static void spoil_mutex(void)
{
    static weft_mutex mutex;

    weft_mutex_init(&mutex);
    wf_mutex_check(&mutex);
    *(uintptr_t *)(void *)&mutex = (uintptr_t)&tasks[0] | 1; // held, and no waiter
    wf_mutex_check(&mutex);
}

static void spoil_mutex_uncalled(void)
{
    static weft_mutex mutex;

    weft_mutex_init(&mutex);
    *(uintptr_t *)(void *)&mutex = 1; // free, and the waiter was not called
    wf_mutex_check(&mutex);
}

static void spoil_rwlock(void)
{
    static weft_rwlock lock;

    weft_rwlock_init(&lock);
    wf_rwlock_check(&lock);
    *(uintptr_t *)(void *)&lock = 4 | 1; // one reader, and no waiter
    wf_rwlock_check(&lock);
}

static void spoil_rwlock_free(void)
{
    static weft_rwlock lock;

    weft_rwlock_init(&lock);
    *(uintptr_t *)(void *)&lock = 1;
    wf_rwlock_check(&lock);
}

static void spoil_sem(void)
{
    static weft_sem sem;

    weft_sem_init(&sem, 3);
    wf_sem_check(&sem);
    *(size_t *)(void *)&sem |= 1; // no waiter
    wf_sem_check(&sem);
}

static void spoil_sem_permits(void)
{
    static weft_sem sem;

    weft_sem_init(&sem, 3);
    *(size_t *)(void *)&sem = (WEFT_SEM_MAX + (size_t)1) * 2;
    wf_sem_check(&sem);
}

static weft_scope storage;

static struct wf_scope *make_scope(void)
{
    static struct weft_task opener;
    struct wf_scope *s = wf_scope_inside(&storage);

    s->level = (struct wf_cancel_node){ .task = &opener, .is_scope = true };
    s->policy = WEFT_SCOPE_COLLECT;
    wf_store_relaxed(&s->alive, 1u); // relaxed: there is one thread
    for (unsigned i = 0; i < WF_SCOPE_SHARDS; i++) {
        wf_list_init(&s->shards[i].fresh);
        wf_list_init(&s->shards[i].told);
    }
    wf_scope_check(s);
    return s;
}

static void spoil_scope_alive(void)
{
    struct wf_scope *s = make_scope();

    wf_store_relaxed(&s->alive, 0u); // relaxed: as above
    wf_scope_check(s);
}

static void spoil_scope_outcome(void)
{
    struct wf_scope *s = make_scope();

    wf_store_relaxed(&s->outcome, UINT64_C(5)); // relaxed: as above
    wf_scope_check(s);
}

static void spoil_scope_child(void)
{
    static struct wf_child child;
    struct wf_scope *s = make_scope();

    child.shard = &s->shards[1];
    child.level.outer = &s->level;
    wf_list_append(&s->shards[1].told, &child.link);
    wf_scope_check(s);
    child.shard = &s->shards[2];
    wf_scope_check(s);
}

// --- The rows ------------------------------------------------------------------------

struct row {
    const char *what;
    void (*spoil)(void);
    const char *said; // a part of the assertion that must not hold
};

static const struct row rows[] = {
    { "list: a link that does not point back", spoil_list, "wf_list_linked(at)" },
    { "cell: an empty stack that is known", spoil_cell_known, "wf_cell_nodes(word)" },
    { "cell: a stack that is away and put back", spoil_cell_away, "word & WF_CELL_AWAY" },
    { "deque: the head past the tail", spoil_deque_head, "(tail - head) >= 0" },
    { "deque: more than it holds", spoil_deque_tail, "<= WF_QUEUE_CAP" },
    { "deque: an empty slot", spoil_deque_slot, "slot(" },
    { "ring: the head past the tail", spoil_ring_head, "(tail - head) >= 0" },
    { "ring: more than it holds", spoil_ring_tail, "<= WF_RING_CAP" },
    { "ring: an empty slot", spoil_ring_slot, "slot(" },
    { "injector: a head without a tail", spoil_injector_tail, "&q->tail" },
    { "injector: a circle", spoil_injector_link, "next != first" },
    { "injector: the lock is not held", spoil_injector_lock, "&q->taking" },
    { "idle: the caller sleeps", spoil_idle_own, "!is_asleep(i, worker)" },
    { "idle: a worker that is none", spoil_idle_set, "beyond(i, w)" },
    { "idle: a searcher that is not counted", spoil_idle_searching, "searchers" },
    { "idle: a poller that is none", spoil_idle_poller, "poller" },
    { "headers: a wrong count", spoil_headers_count, "n == list->count" },
    { "headers: a free one in use", spoil_headers_live, "!wf_task_is_live(at)" },
    { "depot: a wrong count", spoil_depot_count, "d->pools[i].count" },
    { "depot: a lost stack", spoil_depot_list, "n == pool->count" },
    { "wheel: a wrong count", spoil_wheel_count, "n == w->count" },
    { "wheel: a timer in another's slot", spoil_wheel_slot, "level" },
    { "source: in another's place", spoil_source_fd, "s->fd % CHUNK" },
    { "source: a cell that is none", spoil_source_cell, "wf_cell_nodes(word)" },
    { "source: a generation that went back", spoil_source_generation, "generation - closed" },
    { "timers: a timer before the next one", spoil_timers, "due > present" },
    { "buffer, ring: a wrong count", spoil_ring_count, "wf_buffer_count(b)" },
    { "buffer, ring: more than it holds", spoil_ring_full, "<= b->capacity" },
    { "buffer, ring: between two messages", spoil_ring_place, "% b->elem_size" },
    { "buffer, chain: a wrong count", spoil_chain_count, "bytes == " },
    { "cast: a message that was never put", spoil_cast, "full(n - 1)" },
    { "queue: waiters without a mark", spoil_queue_mark, "marked" },
    { "queue: a waiter that is not queued", spoil_queue_waiter, "w->queued" },
    { "queue: a waiter that was granted", spoil_queue_granted, "!wf_waiter_chosen(w)" },
    { "channel: a sender beside a receiver", spoil_chan_met, "waits_alone(&c->receivers) && waits_alone(&c->senders)" },
    { "channel: a waiter that is not queued", spoil_chan_waiter, "w->queued" },
    { "mutex: a mark without a waiter", spoil_mutex, "marked" },
    { "mutex: free, and no waiter is called", spoil_mutex_uncalled, "holder_of(word)" },
    { "rwlock: a mark without a waiter", spoil_rwlock, "marked" },
    { "rwlock: free, with waiters", spoil_rwlock_free, "word != QUEUED" },
    { "semaphore: a mark without a waiter", spoil_sem, "marked" },
    { "semaphore: more permits than there may be", spoil_sem_permits, "WEFT_SEM_MAX" },
    { "scope: not open", spoil_scope_alive, "s->alive" },
    { "scope: a result that nothing decided", spoil_scope_outcome, "DECIDED" },
    { "scope: a child of another shard", spoil_scope_child, "child->shard == shard" },
};

static void spoil(void *arg)
{
    ((const struct row *)arg)->spoil();
}

static void each_check_stops_a_program_whose_structure_is_broken(void **state)
{
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(rows) && child_may_run(); i++) {
        child_run(&c, spoil, (void *)&rows[i]);
        if (!WIFSIGNALED(c.status) || WTERMSIG(c.status) != SIGABRT || !strstr(c.said, rows[i].said))
            fail_msg("%s: status %#x, said: %s", rows[i].what, (unsigned)c.status, c.said);
        child_expect_said(&c, "assertion failed: ");
    }
}

// enter_often enters a broken deque at least so often that one entry makes the check.
static void enter_often(void *arg)
{
    (void)arg;
    make_deque();
    wf_store_relaxed(&deque.slot[0], NULL); // relaxed: there is one thread
    for (int i = 0; i < 2 * WF_CHECK_EACH; i++) {
        must(wf_deque_push(&deque, &tasks[2]));
        must(wf_deque_pop(&deque) == &tasks[2]);
    }
}

static void a_debug_build_checks_at_entry_and_a_release_does_not(void **state)
{
    struct child c;
    (void)state;

    if (!child_may_run())
        return;
    child_run(&c, enter_often, NULL);
#ifdef WF_DEBUG
    child_expect_signal(&c, SIGABRT);
    child_expect_said(&c, "slot(");
#else
    child_expect_exit(&c, 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_stops_a_program_whose_structure_is_broken),
        cmocka_unit_test(a_debug_build_checks_at_entry_and_a_release_does_not),
    };
    return wf_test_run(tests);
}
