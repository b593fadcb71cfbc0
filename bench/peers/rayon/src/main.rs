//! bench-rayon: those of weft's micro benchmarks that Rayon has a shape for, the fork-join ones. One line a result:
//! name, value and unit, with tabs between.
//!
//! A task of Rayon is a closure that runs to its end: one that waits for others runs some of them meanwhile, on its own
//! stack, and cannot be set aside as a task with a stack of its own can.
//!
//! The driver runs inside the pool. Peak memory is the process's, so start the program once for each name.

mod measure;
mod tasks;
mod trees;

use std::fmt::Display;
use std::io::Write;
use std::process::exit;

struct Bench {
    name: &'static str,
    once: fn() -> f64,
    unit: &'static str,
    rss: bool, // a second line, the name with ".rss": the peak
}

const fn bench(name: &'static str, once: fn() -> f64, unit: &'static str, rss: bool) -> Bench {
    Bench { name, once, unit, rss }
}

const BENCHES: &[Bench] = &[
    bench("spawn_join_seq", tasks::spawn_join_seq, "ns/task", false),
    bench("spawn_join_batch", tasks::spawn_join_batch, "ns/task", false),
    bench("chained_spawn", tasks::chained_spawn, "ns/task", false),
    bench("skynet", trees::skynet, "ms", true),
    bench("fib32", trees::fib32, "ms", true),
    bench("scope_100k", tasks::scope_100k, "ns/child", false),
];

impl Bench {
    fn rss_name(&self) -> String {
        format!("{}.rss", self.name)
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.name.to_string()).chain(self.rss.then(|| self.rss_name()))
    }
}

struct Options {
    workers: usize,
    reps: usize,
    list: bool,
    names: Vec<String>, // none: all
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}

fn die(what: impl Display) -> ! {
    eprintln!("bench-rayon: {what}");
    exit(1)
}

fn usage(what: impl Display) -> ! {
    eprintln!("bench-rayon: {what}: bench-rayon [--workers=N] [--reps=R] [--list] [NAME...]");
    exit(2)
}

fn number(name: &str, text: Option<String>, max: usize) -> usize {
    let text = text.unwrap_or_else(|| usage(format!("{name} has no value")));
    match text.parse() {
        Ok(n) if (1..=max).contains(&n) => n,
        _ => usage(format!("{name} {text}: not a number from 1 to {max}")),
    }
}

fn name(word: String) -> String {
    match BENCHES.iter().any(|b| b.lines().any(|line| line == word)) {
        true => word,
        false => usage(format!("no benchmark is named '{word}', see --list")),
    }
}

/// Options have values as `--name=value` or as `--name value`.
fn parse() -> Options {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut opt = Options { workers: cpus, reps: 5, list: false, names: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value.to_string())),
            None => (word.as_str(), None),
        };
        match key {
            "--workers" => opt.workers = number(key, value.or_else(|| words.next()), 256),
            "--reps" => opt.reps = number(key, value.or_else(|| words.next()), 1000),
            "--list" if value.is_none() => opt.list = true,
            _ => opt.names.push(name(word)),
        }
    }
    opt
}

fn print(line: String) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap_or_else(|e| die(e));
}

/// Asking for "skynet" is asking for all its lines, for "skynet.rss" only for that one.
fn run(opt: &Options, bench: &Bench) {
    let all = opt.wants(bench.name);
    let rss = bench.rss && (all || opt.wants(&bench.rss_name()));
    if !all && !rss {
        return;
    }
    let value = measure::median(opt.reps, bench.once);
    if all {
        print(format!("{}\t{value:.2}\t{}", bench.name, bench.unit));
    }
    if rss {
        print(format!("{}\t{:.2}\tMiB", bench.rss_name(), measure::rss_peak()));
    }
}

fn main() {
    // A figure of something that went wrong says nothing: what panics, wherever, ends the program.
    std::panic::set_hook(Box::new(|info| die(info)));
    let opt = parse();
    if opt.list {
        return BENCHES.iter().flat_map(Bench::lines).for_each(print);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(opt.workers).build().unwrap_or_else(|e| die(e));
    pool.install(|| BENCHES.iter().for_each(|bench| run(&opt, bench)));
}
