//! The blocking pool: empty jobs, and reads of a file that is in the page cache.

use std::fs::{File, OpenOptions, remove_file};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::spawn_blocking;

use crate::measure::{Micro, median_on_pool, ns_each};

const JOBS: usize = 128_000;
const TASKS: usize = 64;

// --- empty jobs ------------------------------------------------------------------------------------------------------

async fn ask_often(n: usize) {
    for _ in 0..n {
        spawn_blocking(|| {}).await.expect("a job");
    }
}

async fn blocking_1_once() -> f64 {
    let start = Instant::now();
    tokio::spawn(ask_often(JOBS / 8)).await.expect("the task ends");
    ns_each(start, JOBS / 8)
}

pub fn blocking_1(m: &Micro) -> Vec<f64> {
    median_on_pool(m, blocking_1_once)
}

async fn blocking_64_once() -> f64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(ask_often(JOBS / TASKS))).collect();
    for task in tasks {
        task.await.expect("a task ends");
    }
    ns_each(start, JOBS)
}

pub fn blocking_64(m: &Micro) -> Vec<f64> {
    median_on_pool(m, blocking_64_once)
}

// --- reads -----------------------------------------------------------------------------------------------------------

const BLOCK: usize = 4096;
const BLOCKS: u64 = 16384;

/// One without a name, which is in the cache as it has just been written.
fn make_file() -> File {
    let path = format!("/tmp/tokio-bench-{}", std::process::id());
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).expect("make a file");
    remove_file(&path).expect("remove its name");
    for i in 0..BLOCKS {
        file.write_all_at(&[0; BLOCK], i * BLOCK as u64).expect("write a block");
    }
    file
}

/// The buffer goes to the thread and comes back, for no task may lend it what it has.
async fn read_often(file: Arc<File>, n: usize, mut lot: u64) {
    let mut buf = vec![0; BLOCK];
    for _ in 0..n {
        lot = lot.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let (file, at) = (file.clone(), (lot >> 33) % BLOCKS * BLOCK as u64);
        buf = spawn_blocking(move || {
            assert_eq!(file.read_at(&mut buf, at).expect("read"), BLOCK, "a block of the file");
            buf
        })
        .await
        .expect("a job");
    }
}

async fn pread_pool_64_once() -> f64 {
    let file = Arc::new(make_file());
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS).map(|i| tokio::spawn(read_often(file.clone(), JOBS / TASKS, i as u64))).collect();
    for task in tasks {
        task.await.expect("a task ends");
    }
    ns_each(start, JOBS)
}

pub fn pread_pool_64(m: &Micro) -> Vec<f64> {
    median_on_pool(m, pread_pool_64_once)
}
