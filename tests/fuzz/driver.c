// Runs a fuzzer without libFuzzer: on each file of a folder, and on mutations of it.
//
//   fuzz_NAME FOLDER [MUTATIONS-OF-EACH [SEED]]
//
// A failure aborts, and names a file with the input that caused it.
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { ROOM = 4096, MUTATIONS = 20000 };

static uint8_t input[ROOM];
static size_t length;
static uint64_t seed;

static uint64_t next(void)
{
    seed += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = (seed ^ (seed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return next() % n;
}

// keep_input is the handler of SIGABRT.
static void keep_input(int sig)
{
    static const char name[] = "fuzz-failed-input";
    FILE *f = fopen(name, "w");

    (void)sig;
    if (f) {
        fwrite(input, 1, length, f);
        fclose(f);
        fprintf(stderr, "the input is in %s\n", name);
    }
}

static void mutate(void)
{
    for (size_t i = 1 + below(8); i > 0; i--) {
        size_t at = below(length + 1), n = 1 + below(16);
        switch (below(4)) {
        case 0: // insert
            if (length + n <= ROOM) {
                memmove(input + at + n, input + at, length - at);
                for (size_t k = 0; k < n; k++)
                    input[at + k] = (uint8_t)next();
                length += n;
            }
            break;
        case 1: // remove
            n = n < length - at ? n : length - at;
            memmove(input + at, input + at + n, length - at - n);
            length -= n;
            break;
        case 2: // change
            if (at < length)
                input[at] = (uint8_t)next();
            break;
        default: // repeat
            if (length + n <= ROOM && at + n <= length) {
                memcpy(input + length, input + at, n);
                length += n;
            }
        }
    }
}

static void run_file(const char *folder, const char *name, long mutations)
{
    static uint8_t kept[ROOM];
    char path[1024];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(1);
    }
    size_t n = fread(kept, 1, sizeof(kept), f);
    fclose(f);
    for (long i = 0; i <= mutations; i++) {
        memcpy(input, kept, n);
        length = n;
        if (i > 0)
            mutate();
        LLVMFuzzerTestOneInput(input, length);
    }
}

int main(int argc, char **argv)
{
    long mutations = argc > 2 ? strtol(argv[2], NULL, 10) : MUTATIONS, files = 0;
    DIR *folder = argc > 1 ? opendir(argv[1]) : NULL;
    struct dirent *entry;

    if (!folder)
        return fprintf(stderr, "usage: %s FOLDER [MUTATIONS [SEED]]\n", argv[0]) > 0;
    seed = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    printf("seed %#llx\n", (unsigned long long)seed);
    fflush(stdout);
    signal(SIGABRT, keep_input);
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        run_file(argv[1], entry->d_name, mutations);
        files++;
    }
    closedir(folder);
    printf("%ld files, %ld inputs\n", files, files * (mutations + 1));
    return files == 0;
}
