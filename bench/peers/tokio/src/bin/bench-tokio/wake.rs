//! Parked tasks: what they weigh, and how soon they run when a thread outside completes what they wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use peer::runtime;
use tokio::runtime::Runtime;
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::task::yield_now;

use crate::measure::{MILLION, Micro, on_pool, p50_p99, resident, rss, us};

// --- what a parked task weighs ---------------------------------------------------------------------------------------

async fn wait_parked(here: Arc<AtomicUsize>, go: Receiver<()>) {
    here.fetch_add(1, Ordering::Release);
    go.await.expect("somebody completes it");
}

/// Memory once used stays with the runtime, so only the first million tells; no repetitions. What is waited for is
/// there before, as weft's futures are: the figure is of the tasks.
async fn idle_task_once() -> f64 {
    let mut pairs = resident(MILLION);
    let mut gos = resident(MILLION);
    let mut tasks = resident(MILLION);
    let here = Arc::new(AtomicUsize::new(0));
    pairs.extend((0..MILLION).map(|_| oneshot::channel()));

    let before = rss();
    for (go, gone) in pairs {
        gos.push(go);
        tasks.push(tokio::spawn(wait_parked(here.clone(), gone)));
    }
    while here.load(Ordering::Acquire) < MILLION {
        yield_now().await;
    }
    let bytes = (rss() - before) / MILLION as f64;

    gos.into_iter().for_each(|go: Sender<()>| go.send(()).expect("somebody waits"));
    for task in tasks {
        task.await.expect("a waiter ends");
    }
    bytes
}

pub fn idle_task(m: &Micro) -> Vec<f64> {
    vec![on_pool(m.workers, idle_task_once())]
}

// --- how soon it runs ------------------------------------------------------------------------------------------------

const WAKES: usize = 1000;
const PAUSE_IDLE: Duration = Duration::from_micros(3000);
const PAUSE_BUSY: Duration = Duration::from_micros(500);

/// Says that it is there, and waits; for all pairs in turn. When it ran again, each time.
async fn wait_each(waits: Vec<(Sender<()>, Receiver<()>)>) -> Vec<Instant> {
    let mut woken = resident(waits.len());
    for (here, go) in waits {
        here.send(()).expect("somebody waits for the waiter");
        go.await.expect("somebody completes it");
        woken.push(Instant::now());
    }
    woken
}

/// Completes one after the other, with a pause before each, from this thread, which is not the runtime's.
fn wake_each(rt: &Runtime, n: usize, pause: Duration) -> Vec<f64> {
    let (mut waits, mut wakes, mut told) = (resident(n), resident(n), resident(n));
    for _ in 0..n {
        let ((here_tx, here_rx), (go_tx, go_rx)) = (oneshot::channel(), oneshot::channel());
        waits.push((here_tx, go_rx));
        wakes.push((here_rx, go_tx));
    }
    let waiter = rt.spawn(wait_each(waits));
    for (here, go) in wakes {
        here.blocking_recv().expect("the waiter is there");
        std::thread::sleep(pause);
        told.push(Instant::now());
        go.send(()).expect("the waiter waits");
    }
    let woken = rt.block_on(waiter).expect("the waiter ends");
    p50_p99(woken.iter().zip(&told).map(|(woken, told)| us(woken.duration_since(*told))).collect())
}

pub fn wake_idle(m: &Micro) -> Vec<f64> {
    wake_each(&runtime(m.workers), m.reps * WAKES, PAUSE_IDLE)
}

const YIELDERS: usize = 64;

async fn yield_until(stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Acquire) {
        yield_now().await;
    }
}

/// The workers are busy with tasks that only yield: enough of them for every worker to have some.
pub fn wake_busy(m: &Micro) -> Vec<f64> {
    let rt = runtime(m.workers);
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..YIELDERS).map(|_| rt.spawn(yield_until(stop.clone()))).collect();

    let values = wake_each(&rt, m.reps * WAKES, PAUSE_BUSY);
    stop.store(true, Ordering::Release);
    for task in tasks {
        rt.block_on(task).expect("a yielding task ends");
    }
    values
}
