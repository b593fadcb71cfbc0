#include "runtime/see/symbol.h"

#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/sys.h"

// --- Which file is mapped there ------------------------------------------------------

// parse_mapping reads a line of /proc/self/maps. Returns: whether the mapping contains
// `pc`.
static bool parse_mapping(const char *line, uintptr_t pc, struct wf_symbol_file *f)
{
    unsigned long start, end, offset;
    int path = 0;

    if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %n", &start, &end, &offset, &path) < 3 || pc < start || pc >= end)
        return false;
    f->start = start;
    f->end = end;
    f->offset = offset;
    snprintf(f->path, sizeof(f->path), "%s", path ? line + path : "");
    return true;
}

// find_in_lines looks at the complete lines of `text`, and moves the incomplete rest to
// its front.
// Returns: whether one of them is the mapping; otherwise *n is the length of the rest.
static bool find_in_lines(char *text, size_t *n, uintptr_t pc, struct wf_symbol_file *f)
{
    char *line = text, *end;

    while ((end = memchr(line, '\n', *n - (size_t)(line - text)))) {
        *end = 0;
        if (parse_mapping(line, pc, f))
            return true;
        line = end + 1;
    }
    *n -= (size_t)(line - text);
    memmove(text, line, *n);
    return false;
}

static bool find_mapping(uintptr_t pc, struct wf_symbol_file *f)
{
    char text[2048];
    size_t n = 0;
    ssize_t got;
    bool found = false;
    int fd = wf_sys_openat(AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return false;
    while (!found && n < sizeof(text) && (got = wf_sys_read(fd, text + n, sizeof(text) - n)) > 0) {
        n += (size_t)got;
        found = find_in_lines(text, &n, pc, f);
    }
    wf_sys_close(fd);
    return found;
}

static void map_file(struct wf_symbol_file *f)
{
    struct stat st;
    int fd = f->path[0] == '/' ? wf_sys_openat(AT_FDCWD, f->path, O_RDONLY | O_CLOEXEC, 0) : -1;

    if (fd < 0)
        return;
    if (wf_sys_fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof(ElfW(Ehdr))) {
        void *bytes;
        f->bytes = wf_sys_mmap_file(&bytes, (size_t)st.st_size, fd) == 0 ? bytes : NULL;
        f->size = (size_t)st.st_size;
    }
    wf_sys_close(fd);
}

// file_of is the file that contains `pc`; NULL if there is none.
static struct wf_symbol_file *file_of(struct wf_symbols *s, uintptr_t pc)
{
    for (unsigned i = 0; i < s->files; i++)
        if (pc >= s->file[i].start && pc < s->file[i].end)
            return &s->file[i];
    if (s->files == WF_SYMBOL_FILES)
        wf_symbols_fini(s);
    struct wf_symbol_file *f = &s->file[s->files];
    memset(f, 0, sizeof(*f));
    if (!find_mapping(pc, f))
        return NULL;
    map_file(f);
    s->files++;
    return f;
}

void wf_symbols_fini(struct wf_symbols *s)
{
    for (unsigned i = 0; i < s->files; i++)
        if (s->file[i].bytes)
            wf_sys_munmap((void *)(uintptr_t)s->file[i].bytes, s->file[i].size);
    s->files = 0;
}

// --- What the file says --------------------------------------------------------------

// part points to an array at `offset`, of `count` elements of `size` bytes; NULL if the
// file is too short.
static const void *part(const struct wf_symbol_file *f, uint64_t offset, uint64_t count, uint64_t size)
{
    if (offset > f->size || (size && count > (f->size - offset) / size))
        return NULL;
    return f->bytes + offset;
}

// address_of is the address that the file gives to its byte at `at`; 0 if there is
// none.
static uint64_t address_of(const struct wf_symbol_file *f, const ElfW(Ehdr) * head, uint64_t at)
{
    const ElfW(Phdr) *segment = part(f, head->e_phoff, head->e_phnum, sizeof(*segment));

    for (unsigned i = 0; segment && i < head->e_phnum; i++)
        if (segment[i].p_type == PT_LOAD && at >= segment[i].p_offset && at - segment[i].p_offset < segment[i].p_filesz)
            return at - segment[i].p_offset + segment[i].p_vaddr;
    return 0;
}

// search_table looks for the function at `address` in a table of symbols.
// Returns: the symbol, or NULL.
static const ElfW(Sym) * search_table(const struct wf_symbol_file *f, const ElfW(Shdr) * table, uint64_t address)
{
    uint64_t count = table->sh_size / sizeof(ElfW(Sym));
    const ElfW(Sym) *symbol = part(f, table->sh_offset, count, sizeof(*symbol));

    for (uint64_t i = 0; symbol && i < count; i++)
        if ((symbol[i].st_info & 15) == STT_FUNC && address >= symbol[i].st_value &&
            address - symbol[i].st_value < symbol[i].st_size)
            return &symbol[i];
    return NULL;
}

// name_in writes the name that the tables of one kind have for `address`. Returns:
// false if they have none.
static bool name_in(const struct wf_symbol_file *f, ElfW(Word) kind, uint64_t address, char *name, size_t n)
{
    const ElfW(Ehdr) *head = (const void *)f->bytes;
    const ElfW(Shdr) *section = part(f, head->e_shoff, head->e_shnum, sizeof(*section));

    for (unsigned i = 0; section && i < head->e_shnum; i++) {
        if (section[i].sh_type != kind || section[i].sh_link >= head->e_shnum)
            continue;
        const ElfW(Sym) *symbol = search_table(f, &section[i], address);
        const ElfW(Shdr) *strings = &section[section[i].sh_link];
        const char *text = symbol ? part(f, strings->sh_offset, strings->sh_size, 1) : NULL;
        if (!text || symbol->st_name >= strings->sh_size)
            continue;
        snprintf(name, n, "%.*s+0x%llx", (int)strnlen(text + symbol->st_name, WF_SYMBOL_NAME - 24),
                 text + symbol->st_name, (unsigned long long)(address - symbol->st_value));
        return true;
    }
    return false;
}

void wf_symbols_name(struct wf_symbols *s, uintptr_t pc, char *name, size_t n)
{
    const struct wf_symbol_file *f = file_of(s, pc);

    snprintf(name, n, "0x%llx", (unsigned long long)pc);
    if (!f)
        return;
    uint64_t at = pc - f->start + f->offset;
    const char *slash = strrchr(f->path, '/');
    if (slash)
        snprintf(name, n, "%.40s+0x%llx", slash + 1, (unsigned long long)at);
    if (!f->bytes || memcmp(f->bytes, ELFMAG, SELFMAG) != 0)
        return;
    uint64_t address = address_of(f, (const void *)f->bytes, at);
    if (address && !name_in(f, SHT_SYMTAB, address, name, n))
        (void)name_in(f, SHT_DYNSYM, address, name, n);
}
