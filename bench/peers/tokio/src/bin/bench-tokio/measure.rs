//! Measuring: repetitions, medians, memory.

use std::future::Future;
use std::time::{Duration, Instant};

use peer::{die, runtime};

pub const MILLION: usize = 1_000_000;
pub const MIB: f64 = (1 << 20) as f64;

/// How a benchmark is run.
pub struct Micro {
    pub workers: usize,
    pub reps: usize, // above 0
}

/// Runs `body` as a task of the pool. The thread that blocks on it is none of the runtime's workers: what it did itself
/// would be done from outside.
pub fn on_pool<T: Send + 'static>(workers: usize, body: impl Future<Output = T> + Send + 'static) -> T {
    let rt = runtime(workers);
    let driver = rt.spawn(body);
    rt.block_on(driver).expect("the driver ends")
}

/// Runs `once` as a warm-up, then `reps` times: the median of what it returns.
pub async fn median(reps: usize, mut once: impl AsyncFnMut() -> f64) -> f64 {
    once().await;
    let mut values = Vec::with_capacity(reps);
    for _ in 0..reps {
        values.push(once().await);
    }
    middle(values)
}

/// The same on the pool; the figure is the benchmark's only one.
pub fn median_on_pool<F, R>(m: &Micro, mut once: F) -> Vec<f64>
where
    F: FnMut() -> R + Send + 'static,
    R: Future<Output = f64> + Send + 'static,
{
    vec![on_pool(m.workers, median(m.reps, async move || once().await))]
}

/// The median.
pub fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// The 50th and the 99th percentile.
pub fn p50_p99(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let rank = |p: f64| values[((p * values.len() as f64) as usize).min(values.len() - 1)];
    vec![rank(0.50), rank(0.99)]
}

/// Nanoseconds since `start`, shared out among `n`.
pub fn ns_each(start: Instant, n: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / n as f64
}

pub fn us(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

pub fn ms(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

/// An empty vector with room for `n`, whose page faults are over.
pub fn resident<T>(n: usize) -> Vec<T> {
    const PAGE: usize = 4096;
    let mut v = Vec::with_capacity(n);
    let start = v.as_mut_ptr() as *mut u8;
    for at in (0..n * size_of::<T>()).step_by(PAGE) {
        // SAFETY: within what was just allocated, and nobody has put anything there.
        unsafe { start.add(at).write_volatile(0) };
    }
    v
}

/// A line such as "VmHWM:     1234 kB" of /proc/self/status, in bytes.
fn status(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_else(|e| die("/proc/self/status", e));
    let kib = text.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or_else(|| die("/proc/self/status", format!("no {field}"))) * 1024.0
}

/// Resident memory now, in bytes.
pub fn rss() -> f64 {
    status("VmRSS:")
}

/// The most it has been.
pub fn rss_peak() -> f64 {
    status("VmHWM:")
}

/// CPU time of all threads of this process so far.
pub fn cpu() -> Duration {
    // SAFETY: a struct of numbers, which the call fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0, "getrusage");
        usage
    };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}
