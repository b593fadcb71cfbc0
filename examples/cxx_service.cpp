// A service in C++. Each line that a client sends is a question. The service sends the
// line to all of its upstreams at the same time, and returns the first answer; it does
// not wait for the others. An upstream that answers "error", hangs up or cannot be
// reached causes an exception, which does not end the others: only if all fail, the
// client gets the first error.
//
//   cxx_service 127.0.0.1:7000 UPSTREAM...
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>
#include <weft/weft.hpp>

namespace {
std::vector<std::string> upstreams;

// A descriptor, and the lines that go through it.
class connection {
    int fd;
    weft_reader in;
    weft_writer out;

  public:
    explicit connection(int result) : fd(weft::check(result))
    {
        weft_reader_init(&in, weft_fd_stream(fd), 0);
        weft_writer_init(&out, weft_fd_stream(fd), 0);
    }
    connection &operator=(connection &&) = delete;
    ~connection()
    {
        weft_writer_fini(&out);
        weft_reader_fini(&in);
        weft_close(fd);
    }
    // Returns: nothing at the end.
    std::optional<std::string> line()
    {
        const char *text;
        ssize_t n = weft_reader_line(&in, &text);
        return n == -ENODATA ? std::nullopt : std::optional<std::string>(std::in_place, text, weft::check(n));
    }
    void say(const std::string &text)
    {
        weft::check(weft_writer_printf(&out, "%s\n", text.c_str()));
        weft::check(weft_writer_flush(&out));
    }
};

std::string ask(const std::string &upstream, const std::string &question)
{
    connection to(weft_tcp_dial(upstream.c_str()));
    to.say(question);
    auto answer = to.line();
    if (!answer || answer->rfind("error", 0) == 0)
        throw std::runtime_error(upstream + ": " + answer.value_or("no answer"));
    return *answer;
}

// A child may use its parent's stack, because the scope ends before the parent returns.
std::string first_answer(const std::string &question)
{
    std::vector<std::string> answers(upstreams.size());
    weft::scope race(WEFT_SCOPE_RACE);

    race.deadline(weft_after(WEFT_S(2)));
    for (size_t i = 0; i < upstreams.size(); i++)
        race.spawn([&, i] {
            answers[i] = ask(upstreams[i], question);
            return static_cast<int>(i);
        });
    return answers.at(static_cast<size_t>(race.join()));
}

void serve(connection &client)
{
    while (auto question = client.line()) {
        std::string answer;
        try {
            answer = first_answer(*question);
        } catch (const std::exception &e) {
            answer = std::string("error: ") + e.what();
        }
        client.say(answer);
    }
}

void run(const char *address)
{
    std::unique_ptr<weft_chan, decltype(&weft_chan_unref)> signals(nullptr, weft_chan_unref);
    weft_chan *made;
    char at[64];
    int signo;
    weft::check(weft_chan_new(&made, sizeof(int), 1));
    signals.reset(made);
    weft::check(weft_signal_notify(made, SIGTERM));
    int listener = weft::check(weft_tcp_listen(address));
    weft::check(weft_local_addr(listener, at, sizeof(at)));
    dprintf(1, "listening on %s\n", at);
    weft::scope clients(WEFT_SCOPE_COLLECT); // its destructor cancels them
    weft_case next[] = { weft_on_recv(made, &signo), weft_on_fd(listener, POLLIN) };
    while (weft_select(next, 2) == 1) {
        int fd = weft_accept(listener, nullptr, nullptr);
        if (fd < 0) {
            weft_sleep(WEFT_MS(10)); // no descriptors or no memory left, for the moment
            continue;
        }
        auto client = std::make_shared<connection>(fd);
        clients.spawn([client] { serve(*client); });
    }
    weft_close(listener);
}
} // namespace

int main(int argc, char **argv)
try {
    if (argc < 3)
        throw std::invalid_argument("usage: cxx_service ADDRESS UPSTREAM...");
    upstreams.assign(argv + 2, argv + argc);
    weft::run([&] { run(argv[1]); });
} catch (const std::exception &e) {
    fprintf(stderr, "cxx_service: %s\n", e.what());
    return 1;
}
