//! Tasks one by one: a scope spawns them, and joins them all at its end. There are no handles: each task marks that it
//! ran.

use std::time::Instant;

use rayon::Scope;

use crate::measure::{MILLION, ns_each};

const CHILDREN: usize = 100_000;

pub fn spawn_join_seq() -> f64 {
    let mut ran = 0;
    let start = Instant::now();
    for _ in 0..MILLION {
        rayon::scope(|s| s.spawn(|_| ran += 1));
    }
    let ns = ns_each(start, MILLION);
    assert_eq!(ran, MILLION, "tasks that ran");
    ns
}

fn batch(count: usize) -> f64 {
    let mut marks = vec![2; count]; // not zero: their page faults are over
    let start = Instant::now();
    rayon::scope(|s| {
        for mark in &mut marks {
            s.spawn(|_| *mark = 1);
        }
    });
    let ns = ns_each(start, count);
    assert_eq!(marks.iter().sum::<i32>(), count as i32, "tasks that ran");
    ns
}

pub fn spawn_join_batch() -> f64 {
    batch(MILLION)
}

pub fn scope_100k() -> f64 {
    batch(CHILDREN)
}

/// Each task spawns the next and is gone.
fn spawn_link<'scope>(s: &Scope<'scope>, left: &'scope mut usize) {
    s.spawn(|s| {
        *left -= 1;
        if *left > 0 {
            spawn_link(s, left);
        }
    });
}

pub fn chained_spawn() -> f64 {
    let mut left = MILLION;
    let start = Instant::now();
    rayon::scope(|s| spawn_link(s, &mut left));
    let ns = ns_each(start, MILLION);
    assert_eq!(left, 0, "links left");
    ns
}
