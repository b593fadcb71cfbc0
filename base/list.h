// Intrusive doubly-linked list, circular, with a head that is a link itself (as the
// kernel's list_head). Not thread-safe: the owner of the head owns every link.
#ifndef WF_BASE_LIST_H
#define WF_BASE_LIST_H

#include <stdbool.h>

#include "base/assert.h"

struct wf_list {
    struct wf_list *next;
    struct wf_list *prev;
};

static inline void wf_list_init(struct wf_list *head)
{
    head->next = head->prev = head;
}

// wf_list_linked tells whether the neighbours of a link, or of a head, point back to it.
static inline bool wf_list_linked(const struct wf_list *link)
{
    return link->prev->next == link && link->next->prev == link;
}

static inline bool wf_list_empty(const struct wf_list *head)
{
    wf_debug_assert(wf_list_linked(head));
    return head->next == head;
}

static inline void wf_list_append(struct wf_list *head, struct wf_list *link)
{
    wf_debug_assert(wf_list_linked(head));
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void wf_list_remove(struct wf_list *link)
{
    wf_debug_assert(wf_list_linked(link)); // otherwise it is in no list, or was freed in one
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = link;
}

// wf_list_splice moves all of `from` to the end of `to`; `from` is empty afterwards.
static inline void wf_list_splice(struct wf_list *to, struct wf_list *from)
{
    if (wf_list_empty(from))
        return;
    wf_debug_assert(from != to && wf_list_linked(to));
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    wf_list_init(from);
}

// wf_list_check walks the list and asserts that each link is linked both ways. Returns:
// how many links there are.
static inline size_t wf_list_check(const struct wf_list *head)
{
    size_t n = 0;
    for (const struct wf_list *at = head; (at = at->next) != head; n++)
        wf_assert(wf_list_linked(at));
    return n;
}

#endif
