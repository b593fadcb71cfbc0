// bench-onetbb: those of weft's micro benchmarks that oneTBB has a shape for, the
// fork-join ones. One line a result: name, value and unit, with tabs between. Build it
// at the top of the tree:
//
//   c++ -std=c++20 -O2 -DNDEBUG -I. -o build/peers/onetbb/bench-onetbb
//   bench/peers/onetbb/bench_onetbb.cpp
//       $(pkg-config --cflags --libs tbb) -pthread
//
// Tasks are those of a task_group. A task of oneTBB is a function that runs to its end:
// one that waits for others runs some of them meanwhile, on its own stack, and cannot
// be set aside as a task with a stack of its own can.
//
// The main thread enters an arena of so many slots, and is one of its workers as long
// as it is inside: the driver is on the pool. Peak memory is the process's, so start
// the program once for each name.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <getopt.h>
#include <numeric>
#include <string>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

namespace {

using clock_type = std::chrono::steady_clock;

constexpr int million = 1000000;

// --- measuring -----------------------------------------------------------------------

// A figure of something that went wrong says nothing: this ends the program.
void expect(long long got, long long expected, const char *what)
{
    if (got == expected)
        return;
    std::fprintf(stderr, "bench-onetbb: %s: got %lld, expected %lld\n", what, got, expected);
    std::_Exit(1); // workers may still be at it
}

double ns_since(clock_type::time_point start)
{
    return std::chrono::duration<double, std::nano>(clock_type::now() - start).count();
}

// The most memory that the process ever had, in MiB.
double rss_peak()
{
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("VmHWM:", 0) == 0)
            return std::strtod(line.c_str() + std::strlen("VmHWM:"), nullptr) / 1024;
    }
    std::fputs("bench-onetbb: no VmHWM in /proc/self/status\n", stderr);
    std::exit(1);
}

// Once to warm up, then `reps` times.
double median(int reps, double (*once)())
{
    std::vector<double> values(static_cast<size_t>(reps));
    once();
    std::generate(values.begin(), values.end(), once);
    std::sort(values.begin(), values.end());
    return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

// --- tasks one by one ----------------------------------------------------------------

// One group for all of them: waiting leaves it as good as new.
double spawn_join_seq_once()
{
    tbb::task_group group;
    int ran = 0;
    const auto start = clock_type::now();
    for (int i = 0; i < million; i++) {
        group.run([&ran] { ran++; });
        group.wait();
    }
    const double took = ns_since(start);
    expect(ran, million, "tasks that ran");
    return took / million;
}

// There are no handles: the group is waited for as a whole, and each task marks that it
// ran.
double batch_once(int count)
{
    std::vector<int> marks(static_cast<size_t>(count));
    tbb::task_group group;
    const auto start = clock_type::now();
    for (int &mark : marks)
        group.run([&mark] { mark = 1; });
    group.wait();
    const double took = ns_since(start);
    expect(std::accumulate(marks.begin(), marks.end(), 0), count, "tasks that ran");
    return took / count;
}

double spawn_join_batch_once()
{
    return batch_once(million);
}

double scope_100k_once()
{
    return batch_once(100000);
}

// Each task starts the next and is gone.
void link_of_chain(tbb::task_group &group, int &left)
{
    if (--left > 0)
        group.run([&group, &left] { link_of_chain(group, left); });
}

double chained_spawn_once()
{
    tbb::task_group group;
    int left = million;
    const auto start = clock_type::now();
    group.run([&group, &left] { link_of_chain(group, left); });
    group.wait();
    const double took = ns_since(start);
    expect(left, 0, "links left");
    return took / million;
}

// --- trees ---------------------------------------------------------------------------

constexpr int fan_out = 10;
constexpr long long leaves = million;
constexpr long long skynet_sum = 499999500000; // 0 + 1 + ... + (leaves - 1)

// The sum of the numbers of n leaves, from the first one on: a group a node, and the
// sums go to its frame.
long long skynet_node(long long first, long long n)
{
    if (n == 1)
        return first;
    const long long share = n / fan_out;
    long long below[fan_out];
    tbb::task_group group;
    for (int i = 0; i < fan_out; i++)
        group.run([&sum = below[i], from = first + i * share, share] { sum = skynet_node(from, share); });
    group.wait();
    return std::accumulate(below, below + fan_out, 0LL);
}

double skynet_once()
{
    const auto start = clock_type::now();
    const long long sum = skynet_node(0, leaves);
    const double took = ns_since(start);
    expect(sum, skynet_sum, "skynet's sum");
    return took / 1e6;
}

constexpr int fib_n = 32;
constexpr int fib_result = 2178309;

// fib(n) starts a task for fib(n - 1), and computes fib(n - 2) itself, by a plain call
// that starts one in its turn: one a call above 1, and no cut-off. parallel_invoke is
// not faster. A task_group_context that all groups share would be, by a fifth to two
// fifths, but then the whole tree is cancelled as one, and few write it so.
int fib(int n)
{
    if (n < 2)
        return n;
    int other = 0;
    tbb::task_group group;
    group.run([&other, n] { other = fib(n - 1); });
    const int mine = fib(n - 2);
    group.wait();
    return mine + other;
}

double fib32_once()
{
    const auto start = clock_type::now();
    const int result = fib(fib_n);
    const double took = ns_since(start);
    expect(result, fib_result, "fib(32)");
    return took / 1e6;
}

// --- the command line ----------------------------------------------------------------

struct bench {
    const char *name;
    double (*once)();
    const char *unit;
    bool rss; // a second line, the name with ".rss": the peak
};

const bench benches[] = {
    { "spawn_join_seq", spawn_join_seq_once, "ns/task", false },
    { "spawn_join_batch", spawn_join_batch_once, "ns/task", false },
    { "chained_spawn", chained_spawn_once, "ns/task", false },
    { "skynet", skynet_once, "ms", true },
    { "fib32", fib32_once, "ms", true },
    { "scope_100k", scope_100k_once, "ns/child", false },
};

struct options {
    int workers = tbb::info::default_concurrency();
    int reps = 5;
    bool list = false;
    std::vector<std::string> names; // none: all

    bool wants(const std::string &name) const
    {
        return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
    }
};

[[noreturn]] void usage(const std::string &what)
{
    std::fprintf(stderr, "bench-onetbb: %s: bench-onetbb [--workers=N] [--reps=R] [--list] [NAME...]\n", what.c_str());
    std::exit(2);
}

int parse_count(const char *text, int max)
{
    char *end;
    const long value = std::strtol(text, &end, 10);
    if (end == text || *end || value < 1 || value > max)
        usage(std::string(text) + " is not a number from 1 to " + std::to_string(max));
    return static_cast<int>(value);
}

bool is_known(const std::string &name)
{
    return std::any_of(std::begin(benches), std::end(benches), [&name](const bench &b) {
        return name == b.name || (b.rss && name == std::string(b.name) + ".rss");
    });
}

options parse(int argc, char **argv)
{
    const option known[] = { { "workers", required_argument, nullptr, 'w' },
                             { "reps", required_argument, nullptr, 'r' },
                             { "list", no_argument, nullptr, 'l' },
                             { nullptr, 0, nullptr, 0 } };
    options opt;
    for (int key; (key = getopt_long(argc, argv, "w:r:l", known, nullptr)) != -1;) {
        if (key == 'w')
            opt.workers = parse_count(optarg, 256);
        else if (key == 'r')
            opt.reps = parse_count(optarg, 1000);
        else if (key == 'l')
            opt.list = true;
        else
            usage("an option that it does not have");
    }
    opt.names.assign(argv + optind, argv + argc);
    for (const std::string &name : opt.names) {
        if (!is_known(name))
            usage("no benchmark is named '" + name + "', see --list");
    }
    return opt;
}

void print_list()
{
    for (const bench &b : benches)
        std::printf(b.rss ? "%s\n%s.rss\n" : "%s\n", b.name, b.name);
}

// Asking for "skynet" is asking for all its lines, for "skynet.rss" only for that one.
void run(const options &opt, const bench &b)
{
    const bool all = opt.wants(b.name);
    const bool rss = b.rss && (all || opt.wants(std::string(b.name) + ".rss"));
    if (!all && !rss)
        return;
    const double value = median(opt.reps, b.once);
    if (all)
        std::printf("%s\t%.2f\t%s\n", b.name, value, b.unit);
    if (rss)
        std::printf("%s.rss\t%.2f\tMiB\n", b.name, rss_peak());
    std::fflush(stdout);
}

} // namespace

int main(int argc, char **argv)
{
    const options opt = parse(argc, argv);
    if (opt.list) {
        print_list();
        return 0;
    }
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(opt.workers));
    tbb::task_arena arena(opt.workers);
    arena.execute([&opt] {
        for (const bench &b : benches)
            run(opt, b);
    });
}
