//! breadth-tokio: what weft-breadth does, with Tokio: a relay by copy_bidirectional, lines by BufReader::read_until,
//! programs by tokio::process. Tokio has no resolver of its own.

use std::io::Write;
use std::time::{Duration, Instant};

use peer::{Args, WORKERS_MAX, cpus, die, raise_descriptor_limit, runtime, usage};
use tokio::io::{AsyncBufReadExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

// As bench/breadth/counts.h has them.
const LINES: usize = 10_000_000;
const LINE_BYTES: usize = 100;
const PROCESSES: usize = 960;
const PROCESSES_AT_ONCE: usize = 32;

const BUFFER: usize = 16384;

async fn relay(mut client: TcpStream, to: String) {
    if let Ok(mut server) = TcpStream::connect(to).await {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

async fn relay_all(listen: String, to: String) {
    let listener = TcpListener::bind(&listen).await.unwrap_or_else(|e| die(&listen, e));
    println!("listening on {}", listener.local_addr().unwrap_or_else(|e| die("local_addr", e)));
    std::io::stdout().flush().unwrap_or_else(|e| die("standard output", e));
    loop {
        let (client, _) = listener.accept().await.unwrap_or_else(|e| die("accept", e));
        tokio::spawn(relay(client, to.clone()));
    }
}

async fn read_lines(n: usize, target: String) {
    let stream = TcpStream::connect(&target).await.unwrap_or_else(|e| die(&target, e));
    let mut reader = BufReader::with_capacity(BUFFER, stream);
    let mut line = Vec::new();
    for _ in 0..n {
        line.clear();
        let len = reader.read_until(b'\n', &mut line).await.unwrap_or_else(|e| die("a line", e));
        assert_eq!(len, LINE_BYTES, "a line");
    }
}

async fn run_often(n: usize) {
    for _ in 0..n {
        let status = Command::new("/bin/true").status().await.unwrap_or_else(|e| die("/bin/true", e));
        assert!(status.success(), "a status");
    }
}

async fn spawn(n: usize) {
    let tasks: Vec<_> = (0..PROCESSES_AT_ONCE).map(|_| tokio::spawn(run_often(n / PROCESSES_AT_ONCE))).collect();
    for task in tasks {
        task.await.expect("a task ends");
    }
}

/// The CPU time of this process, and of those that it has waited for.
fn cpu() -> Duration {
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    let mut sum = Duration::ZERO;
    for who in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN] {
        // SAFETY: a struct of numbers, which the call fills in.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            assert_eq!(libc::getrusage(who, &mut usage), 0, "getrusage");
            usage
        };
        sum += time(usage.ru_utime) + time(usage.ru_stime);
    }
    sum
}

/// Runs a tenth to warm up, then all.
async fn measure(name: String, target: String) {
    let run = async |part: usize| match name.as_str() {
        "lines" => read_lines(LINES / part, target.clone()).await,
        _ => spawn(PROCESSES / part).await,
    };
    run(10).await;
    let (used, start) = (cpu(), Instant::now());
    run(1).await;
    let (wall, used) = (start.elapsed().as_secs_f64(), (cpu() - used).as_secs_f64());
    let n = if name == "lines" { LINES } else { PROCESSES } as f64;
    println!("{name}\t{:.2}\t/s\n{name}.cpu\t{:.4}\tus", n / wall, used * 1e6 / n);
}

fn main() {
    let (mut listen, mut to, mut target, mut name) = ("127.0.0.1:0".to_string(), None, String::new(), None);
    let mut workers = cpus();
    let mut args = Args::new();
    while let Some(word) = args.next() {
        match word.as_str() {
            "--listen" => listen = args.value("--listen"),
            "--to" => to = Some(args.value("--to")),
            "--target" => target = args.value("--target"),
            "--workers" => workers = args.number("--workers", WORKERS_MAX),
            "--reps" => drop(args.value("--reps")), // each is measured once
            "--list" => return println!("lines\nspawn"),
            "lines" | "spawn" => name = Some(word),
            _ => usage(&format!("'{word}'? breadth-tokio [--workers=N] --to=HOST:PORT | lines | spawn")),
        }
    }
    raise_descriptor_limit();
    let rt = runtime(workers);
    let task = match (to, name) {
        (Some(to), _) => rt.spawn(relay_all(listen, to)),
        (None, Some(name)) => rt.spawn(measure(name, target)),
        _ => usage("neither --to nor a name"),
    };
    rt.block_on(task).unwrap_or_else(|e| die("failed", e));
}
