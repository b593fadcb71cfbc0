// Tables of offsets and constants, for a debugger that has no debug info about weft
// (extra/gdb). Each entry is a name and a number; an empty name ends the table.
#ifndef WF_BASE_LAYOUT_H
#define WF_BASE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

// The structure contains the name itself, not a pointer, so that a table needs no
// relocations.
struct wf_layout {
    char name[24];
    int64_t value;
};

#define WF_LAYOUT_END { "", 0 }

#endif
