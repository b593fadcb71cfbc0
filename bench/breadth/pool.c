// The blocking pool: empty jobs; and reads of a file that is in the page cache, by
// weft_pread and, for comparison, each by a thread of the pool.
#include "bench/micro/micro.h"

#include <fcntl.h>
#include <unistd.h>

static int ask_often(void *arg)
{
    const long n = *(const long *)arg;
    for (long i = 0; i < n; i++)
        micro_ok(weft_blocking(micro_empty, NULL), "a job");
    return 0;
}

// blocking: each of the parties waits for an empty job, n times.
weft_time micro_blocking(long n, long parties)
{
    const weft_time start = weft_now();
    micro_together(parties, ask_often, &n);
    return weft_now() - start;
}

// --- reading -------------------------------------------------------------------------

enum { BLOCK = 4096, BLOCKS = 16384 };

// What the parties read: n blocks each, at random.
static struct {
    int fd;
    long n;
    weft_fn *read; // of a struct block
} file;

struct block {
    char bytes[BLOCK];
    off_t at;
};

static int read_here(void *arg)
{
    struct block *b = arg;
    return (int)weft_pread(file.fd, b->bytes, BLOCK, b->at);
}

static int read_bare(void *arg)
{
    struct block *b = arg;
    return (int)pread(file.fd, b->bytes, BLOCK, b->at);
}

static int read_on_thread(void *arg)
{
    return weft_blocking(read_bare, arg);
}

static int read_often(void *arg)
{
    struct block b;
    uint64_t lot = (uintptr_t)&b; // each task begins elsewhere
    (void)arg;

    for (long i = 0; i < file.n; i++) {
        lot = lot * 6364136223846793005u + 1442695040888963407u;
        b.at = (off_t)(lot >> 33) % BLOCKS * BLOCK;
        micro_expect(file.read(&b), BLOCK, "a block of the file");
    }
    return 0;
}

// make_file makes one without a name, which is in the cache as it has just been written.
static int make_file(void)
{
    static const char block[BLOCK];
    char path[] = "/tmp/weft-bench-XXXXXX";
    const int fd = mkstemp(path);

    micro_ok(fd, "make a file");
    unlink(path);
    for (int i = 0; i < BLOCKS; i++)
        micro_expect(pwrite(fd, block, BLOCK, (off_t)i * BLOCK), BLOCK, "write a block");
    return fd;
}

static weft_time read_by(weft_fn *read, long n, long parties)
{
    file.fd = make_file();
    file.n = n;
    file.read = read;
    const weft_time start = weft_now();
    micro_together(parties, read_often, &file);
    const weft_time took = weft_now() - start;
    close(file.fd);
    return took;
}

weft_time micro_pread(long n, long parties)
{
    return read_by(read_here, n, parties);
}

weft_time micro_pread_pool(long n, long parties)
{
    return read_by(read_on_thread, n, parties);
}
