// What a debugger reads (runtime/see/layout.c), read as a debugger does: by the names in
// the library's tables, without a header of weft's.
#include <stdint.h>

#include "base/layout.h"
#include "tests/support/tasks.h"

struct root {
    char magic[16];
    uint32_t version, parts;
    char **runtimes;
    const struct wf_layout *part[];
};

extern const struct root weft_debug_layout;

// value_of is what the tables say of a name.
static int64_t value_of(const char *name)
{
    for (uint32_t i = 0; i < weft_debug_layout.parts; i++)
        for (const struct wf_layout *at = weft_debug_layout.part[i]; at->name[0]; at++)
            if (strcmp(at->name, name) == 0)
                return at->value;
    fail_msg("the tables have no '%s'", name);
    return 0;
}

static char *pointer_at(const char *thing, const char *name)
{
    char *pointer;
    memcpy(&pointer, thing + value_of(name), sizeof(pointer));
    return pointer;
}

static uint32_t word_at(const char *thing, const char *name)
{
    uint32_t word;
    memcpy(&word, thing + value_of(name), sizeof(word));
    return word;
}

// find_in_slab returns the living task of that number.
static char *find_in_slab(char *slab, size_t size, uint64_t id)
{
    char *at = slab + value_of("slab.memory");

    for (size_t n = (size_t)pointer_at(slab, "slab.headers"); n > 0; n--, at += size)
        if ((word_at(at, "task.word") & value_of("word.live")) && (uintptr_t)pointer_at(at, "task.id") == id)
            return at;
    return NULL;
}

static char *find_task(char *rt, uint64_t id)
{
    char *sched = pointer_at(rt, "rt.sched"), *slab = pointer_at(sched, "sched.slabs"), *found = NULL;
    size_t size = (size_t)pointer_at(sched, "sched.header_size");

    for (; slab && !found; slab = pointer_at(slab, "slab.older"))
        found = find_in_slab(slab, size, id);
    return found;
}

static int count_runtimes(void)
{
    int n = 0;

    for (char *rt = *weft_debug_layout.runtimes; rt; rt = pointer_at(rt, "rt.following"))
        n++;
    return n;
}

static int await_lock(void *lock)
{
    int err = weft_mutex_lock(lock);
    if (!err)
        weft_mutex_unlock(lock);
    return err;
}

// look_at compares what is read of a parked task with what it is.
static void look_at(const char *task, const char *self, weft_mutex *lock)
{
    char *stack = pointer_at(task, "task.stack"), *sp = pointer_at(task, "task.sp");
    uintptr_t word;

    assert_null(pointer_at(task, "task.name"));
    assert_string_equal(pointer_at(task, "task.what"), "mutex");
    assert_ptr_equal(pointer_at(task, "task.on"), lock);
    assert_int_equal(word_at(task, "task.word") & value_of("word.active"), 0);
    assert_true(sp > pointer_at(stack, "stack.base") && sp < pointer_at(stack, "stack.top"));
    memcpy(&word, lock, sizeof(word));
    assert_ptr_equal((char *)(word & ~(uintptr_t)value_of("mutex.marks")), self);
}

static int read_tasks(void *arg)
{
    char *rt = *weft_debug_layout.runtimes, *self = find_task(rt, weft_task_id(weft_self()));
    weft_mutex lock;
    (void)arg;

    assert_non_null(self);
    assert_string_equal(pointer_at(self, "task.name"), "reader");
    assert_ptr_equal(pointer_at(pointer_at(pointer_at(self, "task.worker"), "worker.thread"), "thread.current"), self);
    weft_mutex_init(&lock);
    assert_int_equal(weft_mutex_lock(&lock), 0);
    weft_task *t = spawn(await_lock, &lock);
    wait_parked(t, "mutex");
    look_at(find_task(rt, weft_task_id(t)), self, &lock);
    weft_mutex_unlock(&lock);
    return weft_join(t, NULL);
}

static int name_reader(void *arg)
{
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;
    (void)arg;

    o.name = "reader";
    assert_int_equal(weft_spawn_with(&t, &o, read_tasks, NULL), 0);
    return join(t);
}

static void tasks_are_found(void **state)
{
    (void)state;
    assert_memory_equal(weft_debug_layout.magic, "weft layout\n\0\0\0", 16);
    assert_int_equal(weft_debug_layout.version, 1);
    assert_int_equal(run_tasks(name_reader, NULL), 0);
}

static void each_runtime_is_in_the_list(void **state)
{
    (void)state;
    assert_int_equal(count_runtimes(), 0);
    weft_rt *first = new_runtime(), *second = new_runtime(), *third = new_runtime();
    assert_int_equal(count_runtimes(), 3);
    free_runtime(second);
    assert_int_equal(count_runtimes(), 2);
    free_runtime(third);
    free_runtime(first);
    assert_int_equal(count_runtimes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_are_found),
        cmocka_unit_test(each_runtime_is_in_the_list),
    };
    return wf_test_run(tests);
}
