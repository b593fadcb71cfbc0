// Where things lie in a structure, for a debugger that has no debug info of weft's
// (extra/gdb): names, each with a number. A table ends with an empty name.
#ifndef WF_BASE_LAYOUT_H
#define WF_BASE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

// The name is in place, so that a table needs no relocations.
struct wf_layout {
    char name[24];
    int64_t value;
};

#define WF_LAYOUT_END { "", 0 }

#endif
