//! Trees of tasks: fork, join, and pass a sum upwards.

use std::hint::black_box;
use std::time::Instant;

use crate::measure::{MILLION, ms};

const FAN_OUT: usize = 10;
const LEAVES: usize = MILLION;
const SKYNET_SUM: usize = LEAVES * (LEAVES - 1) / 2;

/// The sum of the numbers of `leaves` leaves, from the first one on: a scope a node, a task for each node below.
fn node(first: usize, leaves: usize) -> usize {
    if leaves == 1 {
        return first;
    }
    let share = leaves / FAN_OUT;
    let mut below = [0; FAN_OUT];
    rayon::scope(|s| {
        for (i, sum) in below.iter_mut().enumerate() {
            s.spawn(move |_| *sum = node(first + i * share, share));
        }
    });
    below.iter().sum()
}

pub fn skynet() -> f64 {
    let start = Instant::now();
    let sum = node(0, black_box(LEAVES));
    let took = ms(start);
    assert_eq!(sum, SKYNET_SUM, "skynet's sum");
    took
}

const FIB_N: u32 = 32;
const FIB_RESULT: u64 = 2178309;

/// join offers its second closure to the others and calls the first itself: fib(n - 1) is the task, fib(n - 2) a plain
/// call that joins in its turn: one task a call above 1, and no cut-off.
fn fib(n: u32) -> u64 {
    if n < 2 {
        return n.into();
    }
    let (mine, other) = rayon::join(|| fib(n - 2), || fib(n - 1));
    mine + other
}

pub fn fib32() -> f64 {
    let start = Instant::now();
    let result = fib(black_box(FIB_N));
    let took = ms(start);
    assert_eq!(result, FIB_RESULT, "fib(32)");
    took
}
