#include "base/list.h"
#include "tests/support/harness.h"

enum { LINKS = 8 };

static struct wf_list head, other;
static struct wf_list links[LINKS];

static void begin(void)
{
    wf_list_init(&head);
    wf_list_init(&other);
}

static void append(struct wf_list *to, int from, int n)
{
    for (int i = from; i < from + n; i++)
        wf_list_append(to, &links[i]);
}

static void expect(const struct wf_list *list, int n, const int *which)
{
    const struct wf_list *at = list->next;

    assert_int_equal(wf_list_check(list), n);
    assert_int_equal(wf_list_empty(list), n == 0);
    for (int i = 0; i < n; i++, at = at->next)
        assert_ptr_equal(at, &links[which[i]]);
    assert_ptr_equal(at, list);
}

static void a_new_list_is_empty(void **state)
{
    (void)state;
    begin();
    expect(&head, 0, NULL);
}

static void append_keeps_the_order(void **state)
{
    (void)state;
    begin();
    append(&head, 0, 3);
    expect(&head, 3, (int[]){ 0, 1, 2 });
}

static void any_link_may_be_removed_and_appended_again(void **state)
{
    (void)state;
    begin();
    append(&head, 0, 4);
    wf_list_remove(&links[1]);
    expect(&head, 3, (int[]){ 0, 2, 3 });
    wf_list_remove(&links[0]);
    expect(&head, 2, (int[]){ 2, 3 });
    wf_list_remove(&links[3]);
    expect(&head, 1, (int[]){ 2 });
    wf_list_append(&head, &links[1]);
    expect(&head, 2, (int[]){ 2, 1 });
    wf_list_remove(&links[2]);
    wf_list_remove(&links[1]);
    expect(&head, 0, NULL);
}

static void a_link_that_was_removed_stands_alone_and_may_be_removed_twice(void **state)
{
    (void)state;
    begin();
    append(&head, 0, 3);
    wf_list_remove(&links[1]);
    assert_true(wf_list_empty(&links[1]));
    wf_list_remove(&links[1]);
    expect(&head, 2, (int[]){ 0, 2 });
}

static void splice_moves_all_to_the_end(void **state)
{
    (void)state;
    begin();
    append(&head, 0, 2);
    append(&other, 2, 3);
    wf_list_splice(&head, &other);
    expect(&head, 5, (int[]){ 0, 1, 2, 3, 4 });
    expect(&other, 0, NULL);
    wf_list_append(&other, &links[5]);
    expect(&other, 1, (int[]){ 5 });
}

static void splice_takes_empty_lists(void **state)
{
    (void)state;
    begin();
    wf_list_splice(&head, &other);
    expect(&head, 0, NULL);
    append(&head, 0, 2);
    wf_list_splice(&head, &other);
    expect(&head, 2, (int[]){ 0, 1 });
    wf_list_splice(&other, &head);
    expect(&other, 2, (int[]){ 0, 1 });
    expect(&head, 0, NULL);
}

struct queue {
    int at[LINKS], n;
};

static void queue_remove(struct queue *q, int which)
{
    int to = 0;
    for (int i = 0; i < q->n; i++)
        if (q->at[i] != which)
            q->at[to++] = q->at[i];
    q->n = to;
}

// Which list each link is in is drawn at random, and kept in two arrays beside.
static void it_agrees_with_an_array(void **state)
{
    struct wf_test_rand r = wf_test_rand(0);
    struct wf_list *lists[] = { &head, &other };
    struct queue queues[2] = { { .n = 0 }, { .n = 0 } };
    int where[LINKS] = { 0 }; // 0: nowhere, else list + 1
    (void)state;

    begin();
    for (unsigned step = 0; step < wf_test_rounds(20000); step++) {
        int i = (int)wf_test_below(&r, LINKS), to = (int)wf_test_below(&r, 2);
        if (wf_test_below(&r, 10) == 0) {
            wf_list_splice(lists[to], lists[1 - to]);
            for (int k = 0; k < queues[1 - to].n; k++)
                queues[to].at[queues[to].n++] = queues[1 - to].at[k];
            queues[1 - to].n = 0;
            for (int k = 0; k < LINKS; k++)
                where[k] = where[k] ? to + 1 : 0;
        } else if (where[i]) {
            wf_list_remove(&links[i]);
            queue_remove(&queues[where[i] - 1], i);
            where[i] = 0;
        } else {
            wf_list_append(lists[to], &links[i]);
            queues[to].at[queues[to].n++] = i;
            where[i] = to + 1;
        }
        expect(&head, queues[0].n, queues[0].at);
        expect(&other, queues[1].n, queues[1].at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_list_is_empty),
        cmocka_unit_test(append_keeps_the_order),
        cmocka_unit_test(any_link_may_be_removed_and_appended_again),
        cmocka_unit_test(a_link_that_was_removed_stands_alone_and_may_be_removed_twice),
        cmocka_unit_test(splice_moves_all_to_the_end),
        cmocka_unit_test(splice_takes_empty_lists),
        cmocka_unit_test(it_agrees_with_an_array),
    };
    return wf_test_run(tests);
}
