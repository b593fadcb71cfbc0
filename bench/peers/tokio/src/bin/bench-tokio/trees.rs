//! Trees of tasks: fork, join, and pass a sum upwards.

use std::hint::black_box;
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::measure::{MIB, MILLION, Micro, median_on_pool, ms, rss_peak};

const FAN_OUT: usize = 10;
const LEAVES: usize = MILLION;
const SKYNET_SUM: usize = LEAVES * (LEAVES - 1) / 2;

/// A task for the subtree whose leaves are numbered from `first` on. A function that returns a handle may call itself;
/// one that is async would have to be boxed.
fn spawn_node(first: usize, leaves: usize) -> JoinHandle<usize> {
    tokio::spawn(async move {
        if leaves == 1 {
            return first;
        }
        let share = leaves / FAN_OUT;
        let mut below: [_; FAN_OUT] = std::array::from_fn(|i| spawn_node(first + i * share, share));
        let mut sum = 0;
        for node in &mut below {
            sum += node.await.unwrap();
        }
        sum
    })
}

async fn skynet_once() -> f64 {
    let start = Instant::now();
    let sum = spawn_node(0, LEAVES).await.unwrap();
    let took = start.elapsed();
    assert_eq!(sum, SKYNET_SUM, "skynet's sum");
    ms(took)
}

fn with_rss(mut values: Vec<f64>) -> Vec<f64> {
    values.push(rss_peak() / MIB);
    values
}

pub fn skynet(m: &Micro) -> Vec<f64> {
    with_rss(median_on_pool(m, skynet_once))
}

const FIB_N: u32 = 32;
const FIB_RESULT: u64 = 2178309;

fn spawn_fib(n: u32) -> JoinHandle<u64> {
    tokio::spawn(fib(n))
}

/// Spawns fib(n - 1), and computes fib(n - 2) itself, by a plain call that spawns in its turn: one spawn a call above
/// 1, and no cut-off. The plain call has to be boxed, or the future would contain itself.
async fn fib(n: u32) -> u64 {
    if n < 2 {
        return n.into();
    }
    let other = spawn_fib(n - 1);
    let mine = Box::pin(fib(n - 2)).await;
    mine + other.await.unwrap()
}

async fn fib_once() -> f64 {
    let start = Instant::now();
    let result = fib(black_box(FIB_N)).await;
    let took = start.elapsed();
    assert_eq!(result, FIB_RESULT, "fib(32)");
    ms(took)
}

pub fn fib32(m: &Micro) -> Vec<f64> {
    with_rss(median_on_pool(m, fib_once))
}
