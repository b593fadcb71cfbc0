// A look-up is a separate object, because getaddrinfo cannot be interrupted: the C
// library may take half a minute to give up on name servers that do not answer. So a
// cancelled task leaves the look-up, and the end of a runtime does not wait for it
// (wf_pool_submit_loose).
//
//                    the lane takes it            getaddrinfo returns
//        QUEUED -------------------------> BEGUN ---------------------> ENDED
//          |   \                            |                             |
//          |    the last waiter leaves:     waiters leave and join        the last waiter leaves: freed
//          |    withdrawn and freed         (begin, wf_dns_leave)
//          +--- waiters join
//
//   From QUEUED to ENDED the look-up is in the table, where wf_dns_begin finds it, even
//   without a waiter. So a program that gives up early and tries again occupies one
//   thread of the lane, and not one more with each try.
//
//   One lock guards the table and the counts of all look-ups. It belongs to the
//   process, not to a runtime, so a look-up that outlives its runtime can still take
//   it. Tasks join only look-ups of their own runtime, identified by its pool: a pool
//   is freed only after its look-ups have ended, so no other pool has its address.
//
//   The answer is written before the job's `done` is set, and never changed after that.
//
//   In two cases a look-up is not shared (`alone`), and made by the calling thread, or
//   for the calling task only: the caller is not a task; or it is a task of a test run
//   (weft/test.h), which begins blocking calls one at a time, and waits for each.
#include "runtime/net/dns.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <weft/error.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "runtime/task/blocking.h"
#include "runtime/state.h"
#include "runtime/wait/wait.h"

enum { BUCKETS = 256 };

// I: fixed when it begins; L: under `lock`; J: the job's until `done` is set
struct wf_lookup {
    struct wf_list link;    // L: in the table
    struct wf_job job;      // the lane's
    struct wf_pool *pool;   // I
    bool alone;             // I: not in the table, and not in a lane
    bool under_way;         // L: it has not ENDED
    unsigned waiters;       // L
    struct addrinfo *found; // J
    int family, socktype;   // I
    char text[];            // I
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct wf_list table[BUCKETS]; // under lock: of the look-ups that have not ended

static void clear_table(void)
{
    for (int i = 0; i < BUCKETS; i++)
        wf_list_init(&table[i]);
}

// reset_table empties the table in a child of fork: the threads that look up exist only
// in the parent, and one of them may have held the lock.
static void reset_table(void)
{
    pthread_mutex_init(&lock, NULL);
    clear_table();
}

static void prepare_table(void)
{
    clear_table();
    pthread_atfork(NULL, NULL, reset_table);
}

// check_bucket asserts that each look-up in the table may be joined: it has not ended,
// and is not `alone`.
// Context: under the lock.
static void check_bucket(const struct wf_list *bucket)
{
    enum { WALK_MAX = 32 };
    const struct wf_list *at = bucket->next;

    wf_assert(wf_list_linked(bucket));
    for (unsigned n = 0; at != bucket && n < WALK_MAX; at = at->next, n++) {
        const struct wf_lookup *l = wf_container_of(at, const struct wf_lookup, link);
        wf_assert(wf_list_linked(at));
        wf_assert(l->under_way && !l->alone && l->pool);
    }
}

// --- on a thread that may block ------------------------------------------------------

static int error_of(int err, int system)
{
    switch (err) {
    case 0:
        return 0;
    case EAI_AGAIN:
        return WEFT_EAI_AGAIN;
    case EAI_NONAME:
        return WEFT_EAI_NONAME;
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return WEFT_EAI_NODATA;
    case EAI_SERVICE:
    case EAI_SOCKTYPE:
        return WEFT_EAI_SERVICE;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return system == ETIMEDOUT ? WEFT_EAI_AGAIN : system > 0 ? -system : WEFT_EAI_FAIL;
    default:
        return WEFT_EAI_FAIL;
    }
}

// is_shortage tells whether the C library lacked descriptors or memory to read the
// hosts file or ask a name server. It may then report that the name does not exist.
static bool is_shortage(int system)
{
    return system == EMFILE || system == ENFILE || system == ENOMEM;
}

WF_NOINLINE static int sys_getaddrinfo(struct wf_lookup *l)
{
    bool service = l->socktype != WF_DNS_HOST;
    struct addrinfo hints = { .ai_family = l->family, .ai_socktype = service ? l->socktype : SOCK_STREAM };

    if (wf_fault())
        return -ENOMEM;
    errno = 0;
    int err = getaddrinfo(service ? NULL : l->text, service ? l->text : NULL, &hints, &l->found);
    int system = errno;
    return err != 0 && is_shortage(system) ? -system : error_of(err, system);
}

// spare_sigpipe blocks SIGPIPE: a resolver may write to a connection that its server
// has closed, even after the last runtime has ended, when SIGPIPE is the program's
// again.
static void spare_sigpipe(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL); // permanently: the lane has no other jobs
}

static int look_up(void *arg)
{
    struct wf_lookup *l = arg;

    spare_sigpipe();
    int err = sys_getaddrinfo(l);
    pthread_mutex_lock(&lock);
    wf_list_remove(&l->link);
    pthread_mutex_unlock(&lock);
    return err;
}

static int look_up_alone(void *arg)
{
    return sys_getaddrinfo(arg);
}

// --- the end -------------------------------------------------------------------------

static void free_lookup(struct wf_lookup *l)
{
    wf_assert(l->waiters == 0 && !l->under_way);
    if (l->found)
        freeaddrinfo(l->found);
    wf_free(l);
}

// end_lookup is the job's last act.
static void end_lookup(struct wf_job *job)
{
    struct wf_lookup *l = wf_container_of(job, struct wf_lookup, job);

    pthread_mutex_lock(&lock);
    wf_assert(l->under_way && wf_list_empty(&l->link)); // no task can find it any more
    l->under_way = false;
    bool last = l->waiters == 0;
    pthread_mutex_unlock(&lock);
    if (last)
        free_lookup(l);
}

// leave_lookup removes a waiter. Context: under the lock. Returns: true if the look-up
// has no user left.
static bool leave_lookup(struct wf_lookup *l)
{
    wf_assert(l->waiters > 0);
    if (--l->waiters > 0)
        return false;
    if (l->under_way && wf_pool_withdraw(l->pool, &l->job)) {
        wf_list_remove(&l->link);
        l->under_way = false;
    }
    return !l->under_way;
}

void wf_dns_leave(struct wf_lookup *l)
{
    pthread_mutex_lock(&lock);
    bool last = leave_lookup(l);
    pthread_mutex_unlock(&lock);
    if (last)
        free_lookup(l);
}

// --- the beginning -------------------------------------------------------------------

static struct wf_list *bucket_of(const struct wf_question *q)
{
    uint32_t hash = 2166136261u; // FNV-1a

    for (const char *c = q->text; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    return &table[(hash ^ hash >> 16) % BUCKETS];
}

static bool is_asked(const struct wf_lookup *l, const struct wf_pool *pool, const struct wf_question *q)
{
    return l->pool == pool && l->family == q->family && l->socktype == q->socktype && strcmp(l->text, q->text) == 0;
}

static struct wf_lookup *find_lookup(struct wf_list *bucket, const struct wf_pool *pool, const struct wf_question *q)
{
    for (struct wf_list *at = bucket->next; at != bucket; at = at->next) {
        struct wf_lookup *l = wf_container_of(at, struct wf_lookup, link);
        if (is_asked(l, pool, q))
            return l;
    }
    return NULL;
}

static struct wf_lookup *make_lookup(struct wf_pool *pool, const struct wf_question *q)
{
    size_t size = strlen(q->text) + 1;
    struct wf_lookup *l = wf_alloc(sizeof(*l) + size);

    if (!l)
        return NULL;
    l->pool = pool;
    l->family = q->family;
    l->socktype = q->socktype;
    l->waiters = 1;
    l->job.fn = look_up;
    l->job.arg = l;
    l->job.ended = end_lookup;
    memcpy(l->text, q->text, size);
    return l;
}

// start_lookup begins a new look-up.  Context: under the lock.
static int start_lookup(struct wf_lookup **out, struct wf_list *bucket, struct wf_pool *pool,
                        const struct wf_question *q)
{
    struct wf_lookup *l = make_lookup(pool, q);
    if (!l)
        return -ENOMEM;
    l->under_way = true;
    wf_list_append(bucket, &l->link);
    int err = wf_pool_submit_loose(pool, WF_LANE_NAME, &l->job);
    if (err < 0) {
        wf_list_remove(&l->link);
        wf_free(l);
        return err;
    }
    *out = l;
    return 0;
}

static int make_alone(struct wf_lookup **out, const struct wf_question *q)
{
    struct wf_lookup *l = make_lookup(NULL, q);
    if (!l)
        return -ENOMEM;
    l->alone = true;
    *out = l;
    return 0;
}

int wf_dns_begin(struct wf_lookup **out, const struct wf_question *q)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct wf_pool *pool = wf_self() ? wf_rt_current()->blocking : NULL;
    struct wf_list *bucket = bucket_of(q);
    int err = 0;

    if (!pool || wf_pool_holds(pool))
        return make_alone(out, q);
    pthread_once(&once, prepare_table);
    pthread_mutex_lock(&lock);
    wf_debug_check(check_bucket(bucket));
    struct wf_lookup *l = find_lookup(bucket, pool, q);
    if (l) {
        l->waiters++;
        *out = l;
    } else {
        err = start_lookup(out, bucket, pool, q);
    }
    pthread_mutex_unlock(&lock);
    return err;
}

int wf_dns_await(struct wf_lookup *l, const char *call)
{
    if (l->alone)
        return wf_self() ? wf_blocking_in(WF_LANE_NAME, look_up_alone, l) : sys_getaddrinfo(l);
    int err = wf_wait_cell(&l->job.done, WEFT_NEVER, call, 0);
    return err < 0 ? err : l->job.result;
}

const struct addrinfo *wf_dns_found(const struct wf_lookup *l)
{
    return l->found;
}
