"""The participants of the comparison: what each is and needs, how it is built and run,
from the repository's root."""
import dataclasses
import shlex
import subprocess

BIN = "build/bench/bench"
OUT = "build/peers"
VENV = f"{OUT}/python/venv/bin"
CC_C = "cc -std=gnu11 -O3 -D_GNU_SOURCE -I."
CC_CXX = "c++ -std=c++20 -O3 -DNDEBUG -I."


@dataclasses.dataclass(frozen=True)
class Need:
    """`check` is a shell command that succeeds if it is there; `get` the command that
    gets it (Debian, as root)."""
    check: str
    get: str

    def is_there(self):
        return subprocess.run(["sh", "-c", self.check], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL).returncode == 0


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    label: str
    kind: str               # weft; variant: weft, used in another way; peer; floor: no runtime at all
    options: str            # for the table of the report: how it is built, and how it serves
    needs: tuple = ()
    build: tuple = ()       # shell commands, one after the other
    echo: str = ""          # the command of its echo server, without the case's options; empty: it has none
    micro: str = ""         # the command of its micro benchmarks
    relay: str = ""         # the command of its relay; it gets --to=HOST:PORT, too
    breadth: str = ""       # and of its other benchmarks of that part (bench/breadth), which prints as `micro` does
    servers: str = ""       # what runs its servers for HTTP, TLS and RESP (bench/servers), and prints as `micro` does
    version: str = ""       # a shell command that prints one line
    processes: bool = False     # a worker is a process: figures of the one that was started are not those of all
    only: tuple = ()        # the experiments that it takes part in; empty: all

    def command(self, program):
        return shlex.split(getattr(self, program))

    def missing(self):
        return [need.get for need in self.needs if not need.is_there()]


def newer(command, least):
    """A check that the first version number which `command` prints is at least so
    high."""
    return f"printf '{least}\\n%s\\n' \"$({command} | grep -o '[0-9][0-9.]*' | head -n 1)\" | sort -CV"


CC = Need("command -v cc", "apt-get install build-essential")
CXX = Need("command -v c++", "apt-get install build-essential")
PKG_CONFIG = Need("command -v pkg-config", "apt-get install pkg-config")
CMAKE = Need(newer("cmake --version", "3.25"), "apt-get install cmake   # 3.25 or later; else: pip install cmake")
CARGO = Need(newer("cargo --version", "1.85"), "apt-get install cargo-web   # Debian 12; later ones: cargo")
GO = Need(newer("go version", "1.25"),
          "apt-get install golang-go   # 1.25 or later: go.dev has it where the distribution does not")
PYTHON = Need(newer("python3 --version", "3.11"), "apt-get install python3   # 3.11 or later")
PYTHON_VENV = Need("python3 -c 'import ensurepip, venv'", "apt-get install python3-venv")


def library(name, package):
    return Need(f"pkg-config --exists {name}", f"apt-get install {package}")


# Asio of Boost 1.81 or later. Where the system's is older, the header files of a newer
# one are unpacked, not installed: Debian's packages of two versions exclude each other.
BOOST_HERE = f"-isystem {OUT}/asio/boost/usr/include"
BOOST = Need(f"printf '#include <boost/asio.hpp>\n#if BOOST_VERSION < 108100\n#error\n#endif\n' | "
             f"c++ -x c++ -E {BOOST_HERE} -",
             f"mkdir -p {OUT}/asio && cd {OUT}/asio && apt-get download libboost1.81-dev && "
             "dpkg-deb -x libboost1.81-dev_*.deb boost   # where Boost 1.81 is a package: apt-get install libboost-dev")


def cargo(manifest, target, flags=""):
    return (f"{flags} cargo build --release --manifest-path {manifest} --target-dir {target}".strip(),)


# weft's build makes the load generator and the epoll floor, too.
WEFT_NEEDS = (CC, CMAKE, PKG_CONFIG, library("ck", "libck-dev"), library("libcjson", "libcjson-dev"),
              library("gsl", "libgsl-dev"))
WEFT_BUILD = ("cmake --preset release -B build/bench -DWEFT_TESTS=OFF -DWEFT_EXAMPLES=ON",
              'cmake --build build/bench -j "$(nproc)" --target echo-load echo-epoll echo-weft weft-bench '
              'breadth-load weft-breadth')
# The servers of bench/servers are examples, each built if its libraries are there.
WEFT_BUILD += tuple(f"cmake --build build/bench --target help | grep -q {name} || exit 0; "
                    f'cmake --build build/bench -j "$(nproc)" --target {name}' for name in ("http_server", "kv_server"))
CC_VERSION = "cc --version | head -n 1"
DRIVE = "python3 bench/servers/drive.py"
LOADS = (PYTHON, Need("command -v openssl", "apt-get install openssl"), Need("command -v wrk", "apt-get install wrk"),
         Need("command -v ab", "apt-get install apache2-utils"),
         Need("command -v h2load", "apt-get install nghttp2-client"))
NGINX = "PATH=$PATH:/usr/sbin nginx"
WEFT_VERSION = "git describe --always --dirty --abbrev=10 2>/dev/null; " + CC_VERSION
CRATE = "sed -n '/^name = \"{0}\"$/{{n;s/version = \"\\(.*\\)\"/{0} \\1/p}}' bench/peers/{1}/Cargo.lock"
TOKIO_VERSION = CRATE.format("tokio", "tokio") + "; rustc --version"
TOKIO_OPTIONS = ("release: opt-level 3, LTO, one codegen unit, panic=abort, parking_lot, system allocator; "
                 "multi_thread runtime with so many workers; one accepting task, a spawned task for each connection "
                 "with its buffer inside")
PYTHON_OPTIONS = ("BufferedProtocol, one buffer a process; N workers are N processes, one listener each, SO_REUSEPORT. "
                  "CPU time, memory and system calls are those of one process, so they are given for one worker only")
HAPROXY_OPTIONS = ("TCP mode, so many threads, {}, otherwise its defaults; in the foreground, on a socket that it "
                   "inherits")
HAPROXY_NEEDS = (PYTHON, Need("command -v haproxy", "apt-get install haproxy   # its service is not needed"))
HAPROXY_VERSION = "haproxy -v | head -n 1"

ALL = (
    Peer("weft", "weft", "weft",
         "-O3 -fno-plt, static library, default configuration; a task for each connection with its buffer on the stack",
         WEFT_NEEDS, WEFT_BUILD, f"{BIN}/echo-weft", f"{BIN}/weft-bench", f"{BIN}/weft-breadth",
         f"{BIN}/weft-breadth", f"{DRIVE} weft", WEFT_VERSION),
    Peer("weft-wait", "weft (wait first)", "variant",
         "the same, but a connection waits for its next message before it takes a buffer (--wait-first)",
         WEFT_NEEDS, WEFT_BUILD, f"{BIN}/echo-weft --wait-first", version=WEFT_VERSION, only=("idle",)),
    Peer("tokio", "Tokio", "peer", TOKIO_OPTIONS, (CARGO,),
         cargo("bench/peers/tokio/Cargo.toml", f"{OUT}/tokio"),
         f"{OUT}/tokio/release/echo-tokio", f"{OUT}/tokio/release/bench-tokio",
         f"{OUT}/tokio/release/breadth-tokio", f"{OUT}/tokio/release/breadth-tokio", f"{DRIVE} tokio",
         TOKIO_VERSION + "; " + CRATE.format("hyper", "tokio")),
    Peer("tokio-unstable", "Tokio, unstable", "peer",
         TOKIO_OPTIONS + "; --cfg tokio_unstable: alt_timer, eager_driver_handoff, sharded_blocking_queue", (CARGO,),
         cargo("bench/peers/tokio/Cargo.toml", f"{OUT}/tokio-unstable", 'RUSTFLAGS="--cfg tokio_unstable"'),
         f"{OUT}/tokio-unstable/release/echo-tokio", f"{OUT}/tokio-unstable/release/bench-tokio",
         version=TOKIO_VERSION),
    Peer("go", "Go", "peer",
         "-trimpath, GOMAXPROCS = workers, default garbage collector, neither keep-alive nor multipath TCP; a "
         "goroutine for each connection with its buffer",
         (GO,), ("cd bench/peers/go && go build -trimpath -o ../../../build/peers/go/ ./cmd/...",),
         f"{OUT}/go/echo-go", f"{OUT}/go/bench-go", f"{OUT}/go/breadth-go", f"{OUT}/go/breadth-go",
         f"{DRIVE} go", "cd bench/peers/go && go version"),
    Peer("libuv", "libuv", "peer",
         "-O3; a loop and a listener a thread, SO_REUSEPORT; uv_try_write first; one buffer a loop",
         (CC, PKG_CONFIG, library("libuv", "libuv1-dev")),
         (f"{CC_C} -o {OUT}/libuv/echo-libuv bench/peers/libuv/echo_libuv.c bench/echo/server.c "
          "$(pkg-config --cflags --libs libuv) -pthread",),
         f"{OUT}/libuv/echo-libuv", version="echo libuv $(pkg-config --modversion libuv)"),
    Peer("asio", "Boost.Asio", "peer",
         "-O3, C++20 coroutines; an io_context (concurrency hint 1) and a listener a thread, SO_REUSEPORT; a buffer a "
         "connection in its coroutine",
         (CC, CXX, BOOST),
         (f"{CC_C} -c -o {OUT}/asio/server.o bench/echo/server.c",
          f"{CC_CXX} {BOOST_HERE} -o {OUT}/asio/echo-asio bench/peers/asio/echo_asio.cpp "
          f"{OUT}/asio/server.o -pthread"),
         f"{OUT}/asio/echo-asio",
         version="echo '#include <boost/version.hpp>\nBOOST_LIB_VERSION' | "
                 f"c++ -x c++ -E -P {BOOST_HERE} - | tail -n 1 | "
                 "sed 's/\"//g; s/_/./g; s/^/Boost /'"),
    Peer("asyncio", "asyncio", "peer", PYTHON_OPTIONS, (PYTHON,),
         echo="python3 bench/peers/python/echo_python.py --loop=asyncio", version="python3 --version", processes=True),
    Peer("uvloop", "uvloop", "peer", PYTHON_OPTIONS, (PYTHON, PYTHON_VENV),
         (f"[ -x {VENV}/python ] || python3 -m venv {OUT}/python/venv",
          f"{VENV}/python -m pip install --quiet --requirement bench/peers/python/requirements.txt"),
         f"{VENV}/python bench/peers/python/echo_python.py --loop=uvloop",
         version=f"{VENV}/python -c 'import sys, uvloop; print(\"uvloop\", uvloop.__version__, \"on Python\", "
                 "sys.version.split()[0])'", processes=True),
    Peer("onetbb", "oneTBB", "peer",
         "-O3; tasks of task_group, global_control with so many threads; fork-join shapes only",
         (CXX, PKG_CONFIG, library("tbb", "libtbb-dev")),
         (f"{CC_CXX} -o {OUT}/onetbb/bench-onetbb bench/peers/onetbb/bench_onetbb.cpp "
          "$(pkg-config --cflags --libs tbb) -pthread",),
         micro=f"{OUT}/onetbb/bench-onetbb", version="echo oneTBB $(pkg-config --modversion tbb)"),
    Peer("rayon", "Rayon", "peer", "release: opt-level 3, LTO, one codegen unit, panic=abort; fib by join, the rest by "
         "scopes, in a pool of so many threads; fork-join shapes only",
         (CARGO,), cargo("bench/peers/rayon/Cargo.toml", f"{OUT}/rayon"),
         micro=f"{OUT}/rayon/release/bench-rayon", version=CRATE.format("rayon", "rayon") + "; rustc --version"),
    Peer("haproxy", "HAProxy", "peer", HAPROXY_OPTIONS.format("option splice-auto"), HAPROXY_NEEDS,
         relay="python3 bench/peers/haproxy/relay.py", version=HAPROXY_VERSION),
    Peer("haproxy-splice", "HAProxy, splice", "peer",
         HAPROXY_OPTIONS.format("option splice-request, option splice-response"), HAPROXY_NEEDS,
         relay="python3 bench/peers/haproxy/relay.py --splice=always", version=HAPROXY_VERSION),
    Peer("pool", "pool of preads", "peer", "-O3; a loop hands each read to four threads by a queue with one lock, and "
         "is told by an eventfd",
         (CC,), (f"{CC_C} -o {OUT}/pool/bench-pool bench/peers/pool/bench_pool.c -pthread",),
         breadth=f"{OUT}/pool/bench-pool", version=CC_VERSION),
    Peer("nginx", "nginx", "peer", "so many worker processes, sendfile, tcp_nopush, otherwise its defaults; no log",
         (*LOADS, Need(f"{NGINX} -v", "apt-get install nginx-light")), servers=f"{DRIVE} nginx",
         version=f"{NGINX} -v 2>&1"),
    Peer("redis", "Redis", "peer", "its defaults: one thread; no snapshots",
         (PYTHON, Need("command -v redis-server", "apt-get install redis-server")), servers=f"{DRIVE} redis",
         version="redis-server --version | cut -d' ' -f1-3"),
    Peer("epoll", "bare epoll", "floor",
         "-O3; an edge-triggered loop a thread, connections dealt out in turn, one buffer a thread",
         WEFT_NEEDS, WEFT_BUILD, f"{BIN}/echo-epoll", version=CC_VERSION),
    Peer("uring", "bare io_uring", "floor",
         "-O3; a ring a thread, connections dealt out in turn; direct descriptors, multishot receives into "
         "a ring of buffers",
         (CC, PKG_CONFIG, library("liburing", "liburing-dev")),
         (f"{CC_C} -o {OUT}/uring/echo-uring bench/peers/uring/echo_uring.c bench/echo/server.c "
          "$(pkg-config --cflags --libs liburing) -pthread",),
         f"{OUT}/uring/echo-uring", version="echo liburing $(pkg-config --modversion liburing)"),
)
