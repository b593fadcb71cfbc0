//! Locks.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use crate::measure::{Micro, median_on_pool, ns_each};

const LOCKS: usize = 100_000;

async fn counts(counter: Arc<Mutex<usize>>) {
    for _ in 0..LOCKS {
        *counter.lock().await += 1;
    }
}

/// Lets `n` tasks count, each of them LOCKS times. Nanoseconds a lock.
async fn contend(n: usize) -> f64 {
    let counter = Arc::new(Mutex::new(0));

    let start = Instant::now();
    let tasks: Vec<_> = (0..n).map(|_| tokio::spawn(counts(counter.clone()))).collect();
    for task in tasks {
        task.await.expect("a counting task ends");
    }
    let ns = ns_each(start, n * LOCKS);
    assert_eq!(*counter.lock().await, n * LOCKS, "the count");
    ns
}

pub fn mutex_1(m: &Micro) -> Vec<f64> {
    median_on_pool(m, || contend(1))
}

pub fn mutex_8(m: &Micro) -> Vec<f64> {
    median_on_pool(m, || contend(8))
}
