// Queues, free lists, lists under a lock, the idle set.
#include <ck_bitmap.h>
#include <ck_queue.h>
#include <ck_ring.h>
#include <ck_stack.h>
#include <string.h>

#include "base/list.h"
#include "bench/borrowed/borrowed.h"
#include "sched/stacks/headers.h"
#include "sched/idle.h"
#include "sched/queues/injector.h"
#include "sched/queues/ring.h"

enum { BATCH = 32, ITEMS = 64, THREADS = 2, WORKERS = 8 };

struct item {
    ck_stack_entry_t entry; // MPMC: of 16 bytes' alignment
    struct wf_list link;
    CK_LIST_ENTRY(item) listed;
    CK_STAILQ_ENTRY(item) queued;
    struct wf_task task;
} __attribute__((aligned(64)));

static struct item items[THREADS][ITEMS];

// --- The injector: pushed one at a time, taken by batches, first in, first out; of two
// threads the first one pushes, and the second one takes

enum { QUEUED = 1 << 12 };

static struct item pool[QUEUED];
static struct wf_injector injector;
static ck_stack_t stack;

static void set_up_injector(void)
{
    memset(&injector, 0, sizeof(injector));
    ck_stack_init(&stack);
}

static void push_own(long from, long to)
{
    for (long i = from; i < to; i++) {
        struct wf_chain chain = { 0 };
        wf_chain_append(&chain, &pool[i].task);
        wf_injector_push(&injector, &chain);
    }
}

static void inject_own(int me, int threads, long n)
{
    struct wf_task *got[BATCH];

    if (threads == 2 && me == 0)
        push_own(0, n);
    for (long done = 0; me == threads - 1 && done < n;) {
        if (threads == 1)
            push_own(done, done + BATCH);
        done += wf_injector_take(&injector, got, BATCH);
    }
}

static void push_upmc(long from, long to)
{
    for (long i = from; i < to; i++)
        ck_stack_push_upmc(&stack, &pool[i].entry);
}

// A pop takes all that there is, the newest first: turned round, it is a share.
static long batch_pop(void)
{
    ck_stack_entry_t *entry = ck_stack_batch_pop_upmc(&stack), *turned = NULL;
    long n = 0;

    for (; entry; n++) {
        ck_stack_entry_t *next = entry->next;
        entry->next = turned;
        turned = entry;
        entry = next;
    }
    return n;
}

static void inject_upmc(int me, int threads, long n)
{
    if (threads == 2 && me == 0)
        push_upmc(0, n);
    for (long done = 0; me == threads - 1 && done < n;) {
        if (threads == 1)
            push_upmc(done, done + BATCH);
        done += batch_pop();
    }
}

// --- Free headers --------------------------------------------------------------------

static struct wf_headers headers;
static struct wf_header_list local[THREADS];

static void set_up_headers(void)
{
    if (headers.size)
        wf_headers_fini(&headers);
    memset(&headers, 0, sizeof(headers));
    memset(local, 0, sizeof(local));
    wf_headers_init(&headers, sizeof(struct wf_task));
    ck_stack_init(&stack);
    for (unsigned i = 0; i < ITEMS; i++)
        ck_stack_push_mpmc(&stack, &items[0][i].entry);
}

static void take_and_give(struct wf_header_list *list, long n)
{
    for (long i = 0; i < n; i++) {
        struct wf_task *task = wf_headers_take(&headers, list);
        if (task)
            wf_headers_give(&headers, list, task);
    }
}

static void headers_worker(int me, int threads, long n)
{
    (void)threads;
    take_and_give(&local[me], n);
}

static void headers_outside(int me, int threads, long n)
{
    (void)me, (void)threads;
    take_and_give(NULL, n);
}

static void headers_mpmc(int me, int threads, long n)
{
    (void)me, (void)threads;
    for (long i = 0; i < n; i++) {
        ck_stack_entry_t *entry = ck_stack_pop_mpmc(&stack);
        if (entry)
            ck_stack_push_mpmc(&stack, entry);
    }
}

// --- The run ring: the owner adds and takes; with two threads the second one takes, too

static struct wf_ring ring, to;
static ck_ring_t ck_ring;
static ck_ring_buffer_t ck_slots[WF_RING_CAP];

static void set_up_ring(void)
{
    memset(&ring, 0, sizeof(ring));
    memset(&to, 0, sizeof(to));
    ck_ring_init(&ck_ring, WF_RING_CAP);
}

static void ring_own(int me, int threads, long n)
{
    unsigned moved;
    (void)threads;

    for (long i = 0; me == 0 && i < n; i++) {
        wf_ring_push(&ring, &items[0][i % ITEMS].task);
        wf_ring_pop(&ring, false);
    }
    for (long i = 0; me == 1 && i < n; i++)
        wf_ring_steal(&ring, &to, 1, &moved);
}

static void ring_spmc(int me, int threads, long n)
{
    void *got;
    (void)threads;

    for (long i = 0; me == 0 && i < n; i++) {
        ck_ring_enqueue_spmc(&ck_ring, ck_slots, &items[0][i % ITEMS].task);
        ck_ring_dequeue_spmc(&ck_ring, ck_slots, &got);
    }
    for (long i = 0; me == 1 && i < n; i++)
        ck_ring_trydequeue_spmc(&ck_ring, ck_slots, &got);
}

// --- Lists under a lock: each appended, the one in the middle and the rest removed ------

static void set_up_nothing(void)
{
}

enum { WAITERS = 4 };

static void list_own(int me, int threads, long n)
{
    struct wf_list head;
    (void)threads;

    wf_list_init(&head);
    for (long i = 0; i < n; i += WAITERS) {
        for (int k = 0; k < WAITERS; k++)
            wf_list_append(&head, &items[me][k].link);
        wf_list_remove(&items[me][WAITERS / 2].link);
        while (!wf_list_empty(&head))
            wf_list_remove(head.next);
    }
}

static void list_ck_list(int me, int threads, long n)
{
    CK_LIST_HEAD(, item) head = CK_LIST_HEAD_INITIALIZER(head);
    (void)threads;

    for (long i = 0; i < n; i += WAITERS) {
        for (int k = 0; k < WAITERS; k++) // it cannot append: the order is the wrong one
            CK_LIST_INSERT_HEAD(&head, &items[me][k], listed);
        CK_LIST_REMOVE(&items[me][WAITERS / 2], listed);
        for (struct item *first; (first = CK_LIST_FIRST(&head));)
            CK_LIST_REMOVE(first, listed);
    }
}

static void list_ck_stailq(int me, int threads, long n)
{
    CK_STAILQ_HEAD(, item) head = CK_STAILQ_HEAD_INITIALIZER(head);
    (void)threads;

    for (long i = 0; i < n; i += WAITERS) {
        for (int k = 0; k < WAITERS; k++)
            CK_STAILQ_INSERT_TAIL(&head, &items[me][k], queued);
        CK_STAILQ_REMOVE(&head, &items[me][WAITERS / 2], item, queued); // walks to it
        while (!CK_STAILQ_EMPTY(&head))
            CK_STAILQ_REMOVE_HEAD(&head, queued);
    }
}

// --- The idle set: a worker announces its sleep, and ends it ----------------------------

static struct wf_idle idle;
static CK_BITMAP_INSTANCE(WF_IDLE_WORDS * 64) bitmap;

static void set_up_idle(void)
{
    memset(&idle, 0, sizeof(idle));
    wf_idle_init(&idle, WORKERS);
    CK_BITMAP_INIT(&bitmap, WF_IDLE_WORDS * 64, false);
}

static void idle_own(int me, int threads, long n)
{
    (void)threads;
    for (long i = 0; i < n; i++) {
        wf_idle_sleep(&idle, (unsigned)me, false);
        wf_idle_unsleep(&idle, (unsigned)me); // tells whether the bit was set
    }
}

static void idle_bitmap(int me, int threads, long n)
{
    (void)threads;
    for (long i = 0; i < n; i++) {
        CK_BITMAP_SET(&bitmap, (unsigned)me);
        CK_BITMAP_RESET(&bitmap, (unsigned)me); // does not
    }
}

const struct borrowed borrowed_queues[] = {
    { "injector", QUEUED, set_up_injector, 1, 2, { { "own", inject_own }, { "stack_upmc", inject_upmc } } },
    { "headers", 1 << 18, set_up_headers, 1, 2, { { "own", headers_worker }, { "stack_mpmc", headers_mpmc } } },
    { "headers-outside",
      1 << 18,
      set_up_headers,
      1,
      2,
      { { "own", headers_outside }, { "stack_mpmc", headers_mpmc } } },
    { "run-ring", 1 << 18, set_up_ring, 1, 2, { { "own", ring_own }, { "ring_spmc", ring_spmc } } },
    { "list",
      1 << 20,
      set_up_nothing,
      1,
      1,
      { { "own", list_own }, { "list", list_ck_list }, { "stailq", list_ck_stailq } } },
    { "idle-set", 1 << 17, set_up_idle, 1, 2, { { "own", idle_own }, { "bitmap", idle_bitmap } } },
    { 0 },
};
