// Names for program counters, read from the files that the process has mapped. Takes no
// lock of the dynamic linker's and allocates nothing but mappings, so it may be used by a
// process in which all else is stuck, and from a signal handler.
#ifndef WF_RUNTIME_SYMBOL_H
#define WF_RUNTIME_SYMBOL_H

#include <stddef.h>
#include <stdint.h>

enum { WF_SYMBOL_FILES = 8, WF_SYMBOL_NAME = 96 };

// A mapping of code, and the file that it is of, itself mapped to be read.
struct wf_symbol_file {
    uintptr_t start, end;
    uint64_t offset; // of `start` in the file
    char path[192];
    const char *bytes; // NULL: not to be had
    size_t size;
};

// All zero is one that knows no file yet.
struct wf_symbols {
    unsigned files;
    struct wf_symbol_file file[WF_SYMBOL_FILES];
};

// wf_symbols_name writes "function+0x12", else "file+0x345", else "0x6789".
void wf_symbols_name(struct wf_symbols *s, uintptr_t pc, char *name, size_t n);

// wf_symbols_fini unmaps what was mapped.
void wf_symbols_fini(struct wf_symbols *s);

#endif
