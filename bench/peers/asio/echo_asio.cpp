// echo-asio: the echo server of the benchmark on Boost.Asio: a coroutine for each
// connection.
//
// Of the two usual forms for several threads, one io_context that all run, or one for
// each, this is the second, which is the quicker: a connection stays with its thread,
// so there is no strand and no lock that anyone waits for, and the concurrency hint 1
// lets Asio queue handlers without waking others. Every thread accepts on a listener of
// its own; SO_REUSEPORT lets the kernel deal out the connections, by a hash: with few
// of them the threads may get very different shares, which is what this form costs.
#include <array>
#include <boost/asio.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <list>
#include <string>
#include <thread>
#include <utility>
#include <vector>

extern "C" {
#include "bench/echo/server.h"
}

#if BOOST_ASIO_VERSION < 102600
#error "Boost 1.81 or later is needed: before it a deferred operation cannot be awaited as a tuple."
#endif

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// The executor is named instead of any_io_executor: what is known when compiling need
// not be looked up at run time.
using executor = asio::io_context::executor_type;
template <typename T = void>
using task = asio::awaitable<T, executor>;
using tcp_socket = asio::basic_stream_socket<tcp, executor>;
using tcp_acceptor = asio::basic_socket_acceptor<tcp, executor>;
using timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                                         executor>;
using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

// Results as tuples, not exceptions: every connection ends with an error. What is
// `deferred` is awaited without a coroutine frame of its own for each operation.
constexpr auto quietly = asio::as_tuple(asio::deferred);

constexpr int backlog = 65535;

// --- coroutines ----------------------------------------------------------------------

static task<> serve(tcp_socket socket)
{
    std::array<char, 4096> buf;
    error_code ignored; // the peer is gone: reading sees that
    socket.set_option(tcp::no_delay(true), ignored);
    for (;;) {
        auto [read_error, n] = co_await socket.async_read_some(asio::buffer(buf), quietly);
        if (read_error)
            co_return;
        auto [write_error, written] = co_await asio::async_write(socket, asio::buffer(buf, n), quietly);
        if (write_error)
            co_return;
    }
}

// accept_all throws when it is out of descriptors, say: what was measured from here on
// would mean nothing.
static task<> accept_all(tcp_acceptor &acceptor)
{
    for (;;) {
        tcp_socket socket = co_await acceptor.async_accept(asio::deferred);
        asio::co_spawn(acceptor.get_executor(), serve(std::move(socket)), asio::detached);
    }
}

// stall goes by the clock, not by when it was last served; moments that have passed
// meanwhile are left out.
static task<> stall(executor ex)
{
    const auto period = std::chrono::milliseconds(STALL_PERIOD_MS);
    timer due(ex, std::chrono::steady_clock::now());
    for (;;) {
        do {
            due.expires_at(due.expiry() + period);
        } while (due.expiry() <= std::chrono::steady_clock::now());
        co_await due.async_wait(asio::deferred);
        server_compute(STALL_MS);
    }
}

static task<> hog(executor ex)
{
    for (;;) {
        server_compute(HOG_MS);
        co_await asio::post(ex, asio::deferred);
    }
}

// --- threads -------------------------------------------------------------------------

[[noreturn]] static void die(const boost::system::system_error &e)
{
    std::fprintf(stderr, "echo-asio: %s\n", e.code().message().c_str());
    std::_Exit(1);
}

struct worker {
    asio::io_context context{ 1 };
    tcp_acceptor acceptor{ context.get_executor() };

    explicit worker(const tcp::endpoint &endpoint);
    void spawn(task<> coroutine);
    void run();
};

worker::worker(const tcp::endpoint &endpoint)
{
    acceptor.open(endpoint.protocol());
    acceptor.set_option(tcp_acceptor::reuse_address(true));
    acceptor.set_option(reuse_port(true));
    acceptor.bind(endpoint);
    acceptor.listen(backlog);
}

// spawn starts what must not end: an exception comes out of run.
void worker::spawn(task<> coroutine)
{
    asio::co_spawn(context, std::move(coroutine), [](std::exception_ptr e) {
        if (e)
            std::rethrow_exception(e);
    });
}

void worker::run()
{
    try {
        context.run();
    } catch (const boost::system::system_error &e) {
        die(e);
    }
}

static tcp::endpoint parse_endpoint(const std::string &text)
{
    const auto colon = text.rfind(':');
    std::string host = text.substr(0, colon);
    if (host.size() > 1 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    error_code error;
    const auto address = asio::ip::make_address(host, error);
    char *end = nullptr;
    const auto port = colon == text.npos ? -1 : std::strtol(text.c_str() + colon + 1, &end, 10);
    if (error || !end || *end || port < 0 || port > 65535) {
        std::fprintf(stderr, "echo-asio: --listen %s: not a numeric HOST:PORT\n", text.c_str());
        std::exit(64);
    }
    return { address, static_cast<std::uint16_t>(port) };
}

static void announce(const tcp::endpoint &endpoint)
{
    const std::string host = endpoint.address().to_string();
    std::printf(endpoint.address().is_v6() ? "listening on [%s]:%d\n" : "listening on %s:%d\n", host.c_str(),
                endpoint.port());
    std::fflush(stdout);
}

static void serve_all(const server_options &opt)
{
    const unsigned count = opt.workers ? opt.workers : server_cpus();
    std::list<worker> workers;
    tcp::endpoint endpoint = parse_endpoint(opt.listen);
    for (unsigned i = 0; i < count; i++) {
        worker &w = workers.emplace_back(endpoint);
        endpoint = w.acceptor.local_endpoint(); // all take the port that the first one got
        w.spawn(accept_all(w.acceptor));
        if (opt.hog)
            w.spawn(hog(w.context.get_executor()));
    }
    if (opt.stall)
        workers.front().spawn(stall(workers.front().context.get_executor()));

    std::vector<std::jthread> threads;
    for (worker &w : workers)
        if (&w != &workers.front())
            threads.emplace_back(&worker::run, &w);
    announce(endpoint);
    workers.front().run();
}

int main(int argc, char **argv)
{
    server_options opt;
    server_options_parse(&opt, "The echo server on Boost.Asio, a coroutine for each connection.", argc, argv);
    try {
        serve_all(opt);
    } catch (const boost::system::system_error &e) {
        die(e);
    }
}
