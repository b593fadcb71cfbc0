//! What the echo server and the micro benchmarks have in common: the runtime, the command line, and work that keeps a
//! CPU busy.

use std::fmt::Display;
use std::process::exit;
use std::str::FromStr;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

pub const WORKERS_MAX: usize = 256;

/// The runtime that everything is measured on: Tokio's defaults, but for the number of workers.
pub fn runtime(workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all();
    unstable(&mut builder);
    builder.build().unwrap_or_else(|e| die("start a runtime", e))
}

/// Timers without a lock that all workers share, an I/O driver that does not wait for a worker that has just begun to
/// compute, and (nobody here uses it) a blocking pool with more than one queue.
#[cfg(tokio_unstable)]
fn unstable(builder: &mut Builder) {
    builder.enable_alt_timer().enable_eager_driver_handoff().enable_sharded_blocking_queue();
}

#[cfg(not(tokio_unstable))]
fn unstable(_: &mut Builder) {}

/// Keeps the calling thread busy for so long.
pub fn compute(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {}
}

/// As many descriptors as the hard limit allows.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls only read or write `limit`. Without the right to raise it, it stays as it is.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// The number of CPUs that this process may run on.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The command line, word by word. Options have values as `--name=value` or as `--name value`.
pub struct Args {
    words: std::iter::Skip<std::env::Args>,
    value: Option<String>, // what followed the option's "="
}

impl Args {
    pub fn new() -> Self {
        Args { words: std::env::args().skip(1), value: None }
    }

    /// The value of the option `name`, which was the last word.
    pub fn value(&mut self, name: &str) -> String {
        let value = self.value.take().or_else(|| self.words.next());
        value.unwrap_or_else(|| usage(&format!("{name} has no value")))
    }

    /// Likewise a number from 1 to `max`.
    pub fn number(&mut self, name: &str, max: usize) -> usize {
        let text = self.value(name);
        match usize::from_str(&text) {
            Ok(n) if (1..=max).contains(&n) => n,
            _ => usage(&format!("{name} {text}: not a number from 1 to {max}")),
        }
    }
}

impl Default for Args {
    fn default() -> Self {
        Self::new()
    }
}

impl Iterator for Args {
    type Item = String;

    /// An option's name, or a word that is none.
    fn next(&mut self) -> Option<String> {
        if let Some(value) = self.value.take() {
            usage(&format!("nothing takes the value '{value}'"));
        }
        let word = self.words.next()?;
        match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                self.value = Some(value.to_string());
                Some(name.to_string())
            }
            _ => Some(word),
        }
    }
}

fn program() -> String {
    let path = std::env::args().next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_string()
}

pub fn usage(what: &str) -> ! {
    eprintln!("{}: {what}", program());
    exit(2)
}

pub fn die(what: &str, error: impl Display) -> ! {
    eprintln!("{}: {what}: {error}", program());
    exit(1)
}
