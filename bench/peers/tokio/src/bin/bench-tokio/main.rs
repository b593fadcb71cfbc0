//! bench-tokio: weft's micro benchmarks, as one writes them with Tokio. One line a result: name, value and unit, with
//! tabs between. What Tokio has no shape for is missing: mpmc_8x8, scope_open_close, select_64.
//!
//! Nothing is forked: peak memory is that of a benchmark only if it has the process for itself.

mod channels;
mod locks;
mod measure;
mod pool;
mod tasks;
mod time;
mod trees;
mod wake;

use std::io::Write;

use measure::Micro;
use peer::{Args, WORKERS_MAX, cpus, die, usage};

const REPS_MAX: usize = 1000;

struct Bench {
    name: &'static str,
    reps: usize, // how many repetitions the median is taken of, unless --reps says otherwise
    run: fn(&Micro) -> Vec<f64>,
    lines: &'static [(&'static str, &'static str)], // what follows the name, and the unit
}

const fn bench(
    name: &'static str,
    reps: usize,
    run: fn(&Micro) -> Vec<f64>,
    lines: &'static [(&'static str, &'static str)],
) -> Bench {
    Bench { name, reps, run, lines }
}

const PERCENTILES: &[(&str, &str)] = &[(".p50", "us"), (".p99", "us")];
const MS_AND_RSS: &[(&str, &str)] = &[("", "ms"), (".rss", "MiB")];

const BENCHES: &[Bench] = &[
    bench("switch", 5, tasks::switch, &[("", "ns/switch")]),
    bench("yield_1", 5, tasks::yield_1, &[("", "ns/yield")]),
    bench("yield_1000", 5, tasks::yield_1000, &[("", "ns/yield")]),
    bench("spawn_join_seq", 5, tasks::spawn_join_seq, &[("", "ns/task")]),
    bench("spawn_join_batch", 5, tasks::spawn_join_batch, &[("", "ns/task")]),
    bench("spawn_outside", 5, tasks::spawn_outside, &[("", "ns/task")]),
    bench("chained_spawn", 5, tasks::chained_spawn, &[("", "ns/task")]),
    bench("pingpong_1", 5, channels::pingpong_1, &[("", "ns/roundtrip")]),
    bench("pingpong_1000", 5, channels::pingpong_1000, &[("", "ns/roundtrip")]),
    bench("skynet", 5, trees::skynet, MS_AND_RSS),
    bench("fib32", 5, trees::fib32, MS_AND_RSS),
    bench("mpsc_1p", 5, channels::mpsc_1p, &[("", "Mmsg/s")]),
    bench("mpsc_8p", 5, channels::mpsc_8p, &[("", "Mmsg/s")]),
    bench("mutex_1", 5, locks::mutex_1, &[("", "ns/lock")]),
    bench("mutex_8", 5, locks::mutex_8, &[("", "ns/lock")]),
    bench("scope_100k", 5, tasks::scope_100k, &[("", "ns/child")]),
    bench("select_2", 5, channels::select_2, &[("", "ns")]),
    bench("sleep_1m", 3, time::sleep_1m, &[(".wall", "ms"), (".cpu", "ms"), (".rss", "MiB")]),
    bench("timer_cancel", 5, time::timer_cancel, &[("", "ns/timer")]),
    bench("timer_cancel_all", 5, time::timer_cancel_all, &[("", "ns/timer")]),
    bench("timer_late", 1, time::timer_late, PERCENTILES),
    bench("idle_task", 1, wake::idle_task, &[("", "bytes/task")]),
    bench("wake_idle", 1, wake::wake_idle, PERCENTILES),
    bench("wake_busy", 1, wake::wake_busy, PERCENTILES),
    bench("blocking_1", 5, pool::blocking_1, &[("", "ns/job")]),
    bench("blocking_64", 5, pool::blocking_64, &[("", "ns/job")]),
    bench("pread_pool_64", 5, pool::pread_pool_64, &[("", "ns/read")]),
];

struct Options {
    workers: usize,
    reps: Option<usize>,
    list: bool,
    names: Vec<String>, // none: all
}

fn parse() -> Options {
    let mut opt = Options { workers: cpus(), reps: None, list: false, names: Vec::new() };
    let mut args = Args::new();
    while let Some(word) = args.next() {
        match word.as_str() {
            "--workers" => opt.workers = args.number("--workers", WORKERS_MAX),
            "--reps" => opt.reps = Some(args.number("--reps", REPS_MAX)),
            "--list" => opt.list = true,
            _ if word.starts_with('-') => {
                usage(&format!("'{word}'? bench-tokio [--workers=N] [--reps=R] [--list] [NAME...]"))
            }
            _ if !is_known(&word) => usage(&format!("no benchmark is named '{word}': see --list")),
            _ => opt.names.push(word),
        }
    }
    opt
}

/// Whether `name` is the benchmark's ("skynet": all its lines), or the line's ("skynet.rss").
fn is_named(name: &str, bench: &Bench, suffix: &str) -> bool {
    name == bench.name || name.strip_prefix(bench.name) == Some(suffix)
}

fn is_known(name: &str) -> bool {
    BENCHES.iter().any(|bench| bench.lines.iter().any(|(suffix, _)| is_named(name, bench, suffix)))
}

fn is_chosen(opt: &Options, bench: &Bench, suffix: &str) -> bool {
    opt.names.is_empty() || opt.names.iter().any(|name| is_named(name, bench, suffix))
}

fn print(line: String) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap_or_else(|e| die("standard output", e));
}

fn run(opt: &Options, bench: &Bench) {
    if !bench.lines.iter().any(|(suffix, _)| is_chosen(opt, bench, suffix)) {
        return;
    }
    let micro = Micro { workers: opt.workers, reps: opt.reps.unwrap_or(bench.reps) };
    let values = (bench.run)(&micro);
    assert_eq!(values.len(), bench.lines.len(), "the number of figures");
    for ((suffix, unit), value) in bench.lines.iter().zip(values) {
        if is_chosen(opt, bench, suffix) {
            print(format!("{}{suffix}\t{value:.2}\t{unit}", bench.name));
        }
    }
}

fn list() {
    for bench in BENCHES {
        bench.lines.iter().for_each(|(suffix, _)| print(format!("{}{suffix}", bench.name)));
    }
}

fn main() {
    // A figure of something that went wrong says nothing: what panics, wherever, ends the program.
    std::panic::set_hook(Box::new(|info| die("failed", info)));
    let opt = parse();
    if opt.list {
        return list();
    }
    BENCHES.iter().for_each(|bench| run(&opt, bench));
}
