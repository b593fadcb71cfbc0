//! Measuring: repetitions, medians, memory.

use std::time::Instant;

pub const MILLION: usize = 1_000_000;

/// Runs `once` as a warm-up, then `reps` times: the median of what it returns.
pub fn median(reps: usize, once: fn() -> f64) -> f64 {
    once();
    let mut values: Vec<f64> = (0..reps).map(|_| once()).collect();
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// Nanoseconds since `start`, shared out among `n`.
pub fn ns_each(start: Instant, n: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / n as f64
}

pub fn ms(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64 / 1e6
}

/// The most memory that the process ever had, in MiB.
pub fn rss_peak() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let kib =
        text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.expect("VmHWM in /proc/self/status") / 1024.0
}
