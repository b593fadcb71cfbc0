//! Sleeping: a million at once, how late one is, and what an armed timer costs that never fires.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep, sleep_until};

use crate::measure::{MIB, MILLION, Micro, cpu, median, median_on_pool, middle, ms, on_pool, p50_p99, resident, us};
use crate::measure::{ns_each, rss_peak};

// --- a million sleepers ----------------------------------------------------------------------------------------------

const LONG: Duration = Duration::from_secs(1);

/// Wall and CPU time, in ms.
async fn sleep_1m_once(tasks: &mut Vec<JoinHandle<()>>) -> (f64, f64) {
    let (wall, cpu_before) = (Instant::now(), cpu());
    for _ in 0..MILLION {
        tasks.push(tokio::spawn(sleep(LONG)));
    }
    for task in tasks.drain(..) {
        task.await.expect("a sleeper wakes");
    }
    let slept = wall.elapsed();
    assert!(slept >= LONG, "a sleep of 1 s took {slept:?}");
    (ms(slept), ms(cpu() - cpu_before))
}

async fn sleep_1m_all(reps: usize) -> Vec<f64> {
    let mut tasks = resident(MILLION);
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    sleep_1m_once(&mut tasks).await;
    for _ in 0..reps {
        let (wall, cpu) = sleep_1m_once(&mut tasks).await;
        walls.push(wall);
        cpus.push(cpu);
    }
    vec![middle(walls), middle(cpus), rss_peak() / MIB]
}

pub fn sleep_1m(m: &Micro) -> Vec<f64> {
    on_pool(m.workers, sleep_1m_all(m.reps))
}

// --- timers that never fire ------------------------------------------------------------------------------------------

const HOUR: Duration = Duration::from_secs(3600);

/// Arms a timer for about an hour from now and cancels it, as a wait does that ends before its time: a sleep is armed
/// when it is polled, and cancelled when it is dropped. Reading the clock is not part of it. Nanoseconds a timer.
///
/// No other timer is there, as in weft's. The default timers then tell the driver of each one (a write to its eventfd),
/// unless a worker sleeps in the driver and has been told of one no later.
async fn arm_and_cancel() -> f64 {
    let start = Instant::now();
    poll_fn(|cx| {
        for i in 0..MILLION as u64 {
            let timer = pin!(sleep_until(start + HOUR + Duration::from_micros(i)));
            assert!(timer.poll(cx).is_pending(), "an hour has not passed");
        }
        Poll::Ready(())
    })
    .await;
    yield_now().await; // the alternative timers' worker takes up between two tasks what they have put off until then
    ns_each(start.into_std(), MILLION)
}

pub fn timer_cancel(m: &Micro) -> Vec<f64> {
    median_on_pool(m, arm_and_cancel)
}

/// As no task parks before all have begun, each has a worker for itself.
async fn cancel_with_others(begun: Arc<AtomicUsize>, size: usize) -> f64 {
    begun.fetch_add(1, Ordering::AcqRel);
    while begun.load(Ordering::Acquire) < size {
        std::thread::yield_now();
    }
    arm_and_cancel().await
}

/// The same on every worker at once: the time that one timer takes on one worker.
async fn timer_cancel_all_once(workers: usize) -> f64 {
    let begun = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..workers).map(|_| tokio::spawn(cancel_with_others(begun.clone(), workers))).collect();
    let mut sum = 0.0;
    for task in tasks {
        sum += task.await.unwrap();
    }
    sum / workers as f64
}

pub fn timer_cancel_all(m: &Micro) -> Vec<f64> {
    let workers = m.workers;
    vec![on_pool(workers, median(m.reps, move || timer_cancel_all_once(workers)))]
}

// --- how late --------------------------------------------------------------------------------------------------------

const SLEEPS: usize = 1000;

/// Between 0.1 and 10 ms; the same row of them every time, and for every peer.
fn some_duration(state: &mut u64) -> Duration {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); // Knuth's MMIX generator
    Duration::from_nanos(100_000 + (*state >> 33) % 9_900_000)
}

/// How late, in microseconds, a task runs again after sleeping until a given moment.
async fn timer_late_all(n: usize) -> Vec<f64> {
    let mut late_us = resident(n);
    let mut random = 1;
    sleep(Duration::from_millis(20)).await; // the runtime has come to rest
    for _ in 0..n {
        let when = Instant::now() + some_duration(&mut random);
        sleep_until(when).await;
        let late = Instant::now().checked_duration_since(when).expect("a sleep ends after its deadline");
        late_us.push(us(late));
    }
    p50_p99(late_us)
}

pub fn timer_late(m: &Micro) -> Vec<f64> {
    on_pool(m.workers, timer_late_all(m.reps * SLEEPS))
}
