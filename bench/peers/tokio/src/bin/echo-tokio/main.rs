//! echo-tokio: Tokio's echo server for the benchmark: a task for each connection, with its buffer in it.

mod neighbours;

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use neighbours::Neighbours;
use peer::{Args, WORKERS_MAX, compute, cpus, die, raise_descriptor_limit, runtime, usage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

const BACKLOG: u32 = 65535;
const BUFFER: usize = 4096; // for one read
const STALL_PERIOD: Duration = Duration::from_millis(50); // --stall: so often ...
const STALL: Duration = Duration::from_millis(20); // ... somebody computes for so long without a pause
const HOG: Duration = Duration::from_millis(1); // --hog: everybody computes for so long at a time

const USAGE: &str = "echo-tokio [--listen=HOST:PORT] [--workers=N] [--stall] [--hog] \
                     [--neighbours=KIND:N] [--counters=FILE]";

struct Options {
    listen: String,
    workers: usize,
    stall: bool,
    hog: bool,
    neighbours: Neighbours,
}

fn parse() -> Options {
    let listen = "127.0.0.1:0".to_string();
    let mut opt = Options { listen, workers: cpus(), stall: false, hog: false, neighbours: Neighbours::none() };
    let mut args = Args::new();
    while let Some(word) = args.next() {
        match word.as_str() {
            "--listen" => opt.listen = args.value("--listen"),
            "--workers" => opt.workers = args.number("--workers", WORKERS_MAX),
            "--stall" => opt.stall = true,
            "--hog" => opt.hog = true,
            "--neighbours" => opt.neighbours.ask(&args.value("--neighbours")),
            "--counters" => opt.neighbours.counters = Some(args.value("--counters")),
            _ => usage(&format!("'{word}'? {USAGE}")),
        }
    }
    opt
}

/// One connection. Whatever ends it ends it only.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = [0u8; BUFFER];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..n]).await?;
    }
}

/// The bad neighbour: woken by its own timer, it computes for long without parking.
async fn stall() {
    let mut ticks = interval_at(Instant::now() + STALL_PERIOD, STALL_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        compute(STALL);
    }
}

/// Computes for ever, but yields in between.
async fn hog() {
    loop {
        compute(HOG);
        yield_now().await;
    }
}

fn listen_on(text: &str) -> io::Result<TcpListener> {
    let addr = text.to_socket_addrs()?.next().ok_or(ErrorKind::AddrNotAvailable)?;
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    let listener = socket.listen(BACKLOG)?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    Ok(listener)
}

async fn serve_all(opt: Options) {
    opt.neighbours.start();
    let listener = listen_on(&opt.listen).unwrap_or_else(|e| die(&opt.listen, e));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true); // fails if the peer is gone: serve sees that
                tokio::spawn(serve(stream));
            }
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
            // Out of descriptors, say: what was measured from here on would mean nothing.
            Err(e) => die("accept", e),
        }
    }
}

fn main() {
    let opt = parse();
    raise_descriptor_limit();
    let rt = runtime(opt.workers);
    if opt.stall {
        rt.spawn(stall());
    }
    for _ in 0..if opt.hog { opt.workers } else { 0 } {
        rt.spawn(hog());
    }
    let _ = rt.block_on(rt.spawn(serve_all(opt)));
}
