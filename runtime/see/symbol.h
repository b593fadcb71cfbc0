// Names for program counters, read from the files that the process has mapped. These
// functions take no lock of the dynamic linker, and allocate only mappings. So they
// work in a process in which all other threads are stuck, and in a signal handler.
#ifndef WF_RUNTIME_SYMBOL_H
#define WF_RUNTIME_SYMBOL_H

#include <stddef.h>
#include <stdint.h>

enum { WF_SYMBOL_FILES = 8, WF_SYMBOL_NAME = 96 };

// A mapping of code, and the file that it maps, which is mapped once more for reading.
struct wf_symbol_file {
    uintptr_t start, end;
    uint64_t offset; // the offset of `start` in the file
    char path[192];
    const char *bytes; // NULL: the file could not be mapped
    size_t size;
};

// An all-zero struct knows no file yet.
struct wf_symbols {
    unsigned files;
    struct wf_symbol_file file[WF_SYMBOL_FILES];
};

// wf_symbols_name writes "function+0x12", else "file+0x345", else "0x6789".
void wf_symbols_name(struct wf_symbols *s, uintptr_t pc, char *name, size_t n);

// wf_symbols_fini unmaps the files.
void wf_symbols_fini(struct wf_symbols *s);

#endif
