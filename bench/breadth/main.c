// weft-breadth: what a service does around its sockets: it relays, reads lines, looks up
// names, runs programs, reads files, keeps idle connections. With --to it is a server, as
// echo-weft is; else it measures, and prints lines as weft-bench does. breadth-load has the
// other ends.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft.h>

#include "bench/args.h"
#include "bench/breadth/counts.h"
#include "bench/breadth/streams.h"
#include "bench/micro/bodies.h"

struct options {
    const char *listen, *to, *target;
    unsigned workers, reps;
    bool list;
    const char *name;
};

static struct options options = { .listen = "127.0.0.1:0", .workers = 1 };

// draw is a number below `end`; each task has another sequence.
static long draw(uint64_t *lot, long end)
{
    *lot = *lot * 6364136223846793005u + 1442695040888963407u;
    return (long)(*lot >> 33) % end;
}

// --- relay ---------------------------------------------------------------------------

static int relay(void *arg)
{
    int client = (int)(intptr_t)arg, server = weft_tcp_dial(options.to);
    int err = server < 0 ? server : weft_relay(client, server, NULL, NULL);

    weft_close(client);
    if (server >= 0)
        weft_close(server);
    return err;
}

static int relay_all(void *arg)
{
    char text[128];
    int listener = weft_tcp_listen(options.listen);
    (void)arg;

    micro_ok(listener, options.listen);
    micro_ok(weft_local_addr(listener, text, sizeof(text)), "weft_local_addr");
    printf("listening on %s\n", text);
    fflush(stdout);
    int client;
    while ((client = weft_accept(listener, NULL, NULL)) >= 0)
        micro_ok(weft_spawn(NULL, relay, (void *)(intptr_t)client), "spawn");
    micro_ok(client, "weft_accept");
    return 0;
}

// --- lines ---------------------------------------------------------------------------

static void read_lines(long n)
{
    weft_reader r;
    const char *line;
    int fd = weft_tcp_dial(options.target);

    micro_ok(fd, options.target);
    micro_ok(weft_reader_init(&r, weft_fd_stream(fd), 0), "make a reader");
    for (long i = 0; i < n; i++)
        micro_expect(weft_reader_line(&r, &line), LINE_BYTES - 1, "a line");
    weft_reader_fini(&r);
    weft_close(fd);
}

// --- resolve -------------------------------------------------------------------------

static int look_up(void *arg)
{
    const long n = *(const long *)arg / LOOKUPS_AT_ONCE;
    uint64_t lot = (uintptr_t)&n;
    char name[32];
    weft_addrs *found;

    for (long i = 0; i < n; i++) {
        snprintf(name, sizeof(name), NAME_FORMAT, (int)draw(&lot, NAMES));
        micro_expect(weft_resolve(&found, name, NULL, AF_UNSPEC), ADDRESSES, "addresses");
        weft_addrs_free(found);
    }
    return 0;
}

static void resolve(long n)
{
    micro_together(LOOKUPS_AT_ONCE, look_up, &n);
}

// --- spawn ---------------------------------------------------------------------------

static int run_often(void *arg)
{
    const long n = *(const long *)arg / PROCESSES_AT_ONCE;
    char *argv[] = { "/bin/true", NULL };
    weft_process_opts o = WEFT_PROCESS_OPTS_INIT;
    weft_process *p;
    int status;

    o.argv = argv;
    for (long i = 0; i < n; i++) {
        micro_ok(weft_process_spawn(&p, &o), "/bin/true");
        micro_ok(weft_process_wait(p, &status), "wait");
        micro_expect(status, 0, "a status");
        micro_ok(weft_process_close(p), "close");
    }
    return 0;
}

static void spawn(long n)
{
    micro_together(PROCESSES_AT_ONCE, run_often, &n);
}

// --- files ---------------------------------------------------------------------------

static int file;

// make_file makes one without a name, which is in the cache as it has just been written.
static int make_file(void)
{
    static const char block[BLOCK_BYTES];
    char path[] = "/tmp/weft-breadth-XXXXXX";
    int fd = mkstemp(path);

    micro_ok(fd, "make a file");
    unlink(path);
    for (int i = 0; i < BLOCKS; i++)
        micro_expect(pwrite(fd, block, BLOCK_BYTES, (off_t)i * BLOCK_BYTES), BLOCK_BYTES, "write a block");
    return fd;
}

static int read_often(void *arg)
{
    const long n = *(const long *)arg / READS_AT_ONCE;
    char block[BLOCK_BYTES];
    uint64_t lot = (uintptr_t)&block;

    for (long i = 0; i < n; i++) {
        off_t at = draw(&lot, BLOCKS) * BLOCK_BYTES;
        micro_expect(weft_pread(file, block, sizeof(block), at), BLOCK_BYTES, "a block of the file");
    }
    return 0;
}

static void read_files(long n)
{
    if (file == 0)
        file = make_file();
    micro_together(READS_AT_ONCE, read_often, &n);
}

// --- measuring -----------------------------------------------------------------------

static const struct bench {
    const char *name;
    void (*run)(long n);
    long n;
} benches[] = {
    { "lines", read_lines, LINES },
    { "resolve", resolve, LOOKUPS },
    { "spawn", spawn, PROCESSES },
    { "files", read_files, READS },
};
enum { BENCHES = sizeof(benches) / sizeof(benches[0]) };

// cpu_us is the CPU time of this process, and of those that it has waited for.
static double cpu_us(void)
{
    double sum = 0;
    struct rusage used;

    for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) { // -1, 0
        getrusage(who, &used);
        sum += 1e6 * (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
        sum += (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    }
    return sum;
}

// measure runs a tenth to warm up, then all.
static int measure(void *arg)
{
    const struct bench *b = arg;

    b->run(b->n / 10);
    const double cpu = cpu_us();
    const weft_time start = weft_now();
    b->run(b->n);
    const double wall_ns = (double)(weft_now() - start);
    printf("%s\t%.2f\t/s\n%s.cpu\t%.4f\tus\n", b->name, (double)b->n * 1e9 / wall_ns, b->name,
           (cpu_us() - cpu) / (double)b->n);
    return 0;
}

static int run(weft_fn *fn, const void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;

    cfg.workers = options.workers;
    micro_ok(weft_run(&cfg, fn, (void *)arg), "run");
    return 0;
}

// --- the command line ----------------------------------------------------------------

enum { KEY_LIST = 256, KEY_REPS, KEY_TO, KEY_TARGET };

static const struct argp_option keys[] = {
    { "workers", 'w', "N", 0, "worker threads (1)", 0 },
    { "listen", 'l', "HOST:PORT", 0, "where the relay listens (127.0.0.1:0, a free port)", 0 },
    { "to", KEY_TO, "HOST:PORT", 0, "be a relay to there; without it something is measured", 0 },
    { "target", KEY_TARGET, "HOST:PORT", 0, "where the lines come from", 0 },
    { "reps", KEY_REPS, "N", 0, "accepted as by weft-bench; each is measured once", 0 },
    { "list", KEY_LIST, NULL, 0, "print the names of what is measured, and stop", 0 },
    { 0 },
};

static const struct arg fields[] = {
    { 'w', ARG_COUNT, offsetof(struct options, workers), 1, 256 },
    { 'l', ARG_TEXT, offsetof(struct options, listen), 0, 0 },
    { KEY_TO, ARG_TEXT, offsetof(struct options, to), 0, 0 },
    { KEY_TARGET, ARG_TEXT, offsetof(struct options, target), 0, 0 },
    { KEY_REPS, ARG_COUNT, offsetof(struct options, reps), 1, 1000 },
    { KEY_LIST, ARG_FLAG, offsetof(struct options, list), 0, 0 },
    { 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG)
        options.name = arg;
    else
        return args_store(keys, fields, key, arg, state);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp argp = { .options = keys, .parser = parse, .args_doc = "NAME" };

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    for (int i = 0; options.list && i < BENCHES; i++)
        puts(benches[i].name);
    if (options.list)
        return puts("streams") < 0;
    if (options.to)
        return run(relay_all, NULL);
    for (int i = 0; options.name && i < BENCHES; i++)
        if (strcmp(options.name, benches[i].name) == 0)
            return run(measure, &benches[i]);
    if (options.name && strcmp(options.name, "streams") == 0)
        return streams_measure(options.workers);
    fprintf(stderr, "weft-breadth: --to=HOST:PORT (a relay), lines, resolve, spawn, files, or streams; see --help\n");
    return 2;
}
