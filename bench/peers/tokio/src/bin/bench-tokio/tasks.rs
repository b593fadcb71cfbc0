//! Tasks one by one: yielding, spawning, joining.

use std::time::Instant;

use peer::runtime;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, yield_now};

use crate::measure::{MILLION, Micro, median, median_on_pool, middle, ns_each, on_pool, resident};

async fn yields(n: usize) -> usize {
    for _ in 0..n {
        yield_now().await;
    }
    n
}

/// Two tasks that yield, on one worker: each yield is a switch to the other one. Nothing below the scheduler switches
/// in Tokio, so its queues are part of it; and as those that yield run again only after a look at the I/O driver, so is
/// half a call of epoll_wait. (yield_1: a whole one.)
async fn switch_once() -> f64 {
    let start = Instant::now();
    let pair = [(); 2].map(|()| tokio::spawn(yields(MILLION)));
    for task in pair {
        assert_eq!(task.await.unwrap(), MILLION, "a yielding task's result");
    }
    ns_each(start, 2 * MILLION)
}

pub fn switch(m: &Micro) -> Vec<f64> {
    median_on_pool(&Micro { workers: 1, ..*m }, switch_once)
}

async fn yield_1_once() -> f64 {
    let start = Instant::now();
    yields(MILLION).await;
    ns_each(start, MILLION)
}

pub fn yield_1(m: &Micro) -> Vec<f64> {
    median_on_pool(m, yield_1_once)
}

const CROWD: usize = 1000;

async fn yield_1000_once() -> f64 {
    let mut crowd = resident(CROWD);
    let start = Instant::now();
    for _ in 0..CROWD {
        crowd.push(tokio::spawn(yields(MILLION / CROWD)));
    }
    for task in crowd {
        assert_eq!(task.await.unwrap(), MILLION / CROWD, "a yielding task's result");
    }
    ns_each(start, MILLION)
}

pub fn yield_1000(m: &Micro) -> Vec<f64> {
    median_on_pool(m, yield_1000_once)
}

async fn empty() -> i32 {
    0
}

async fn spawn_join_seq_once() -> f64 {
    let start = Instant::now();
    for _ in 0..MILLION {
        assert_eq!(tokio::spawn(empty()).await.unwrap(), 0, "an empty task's result");
    }
    ns_each(start, MILLION)
}

pub fn spawn_join_seq(m: &Micro) -> Vec<f64> {
    median_on_pool(m, spawn_join_seq_once)
}

type Handles = Vec<JoinHandle<i32>>;

async fn join_each(handles: &mut Handles) {
    for task in handles.drain(..) {
        assert_eq!(task.await.unwrap(), 0, "an empty task's result");
    }
}

async fn spawn_join_batch_once(handles: &mut Handles) -> f64 {
    let start = Instant::now();
    for _ in 0..MILLION {
        handles.push(tokio::spawn(empty()));
    }
    join_each(handles).await;
    ns_each(start, MILLION)
}

pub fn spawn_join_batch(m: &Micro) -> Vec<f64> {
    let mut handles = resident(MILLION);
    let once = async move || spawn_join_batch_once(&mut handles).await;
    vec![on_pool(m.workers, median(m.reps, once))]
}

/// The batch again, from a thread that is not a worker: it enters the runtime once, and blocks on all handles in turn.
fn spawn_outside_once(rt: &Runtime, handles: &mut Handles) -> f64 {
    let start = Instant::now();
    for _ in 0..MILLION {
        handles.push(rt.handle().spawn(empty()));
    }
    rt.block_on(join_each(handles));
    ns_each(start, MILLION)
}

pub fn spawn_outside(m: &Micro) -> Vec<f64> {
    let rt = runtime(m.workers);
    let mut handles = resident(MILLION);
    spawn_outside_once(&rt, &mut handles);
    vec![middle((0..m.reps).map(|_| spawn_outside_once(&rt, &mut handles)).collect())]
}

/// Each task spawns the next and is gone; the last one says so.
fn spawn_link(left: usize, end: oneshot::Sender<usize>) {
    tokio::spawn(async move {
        match left - 1 {
            0 => end.send(0).expect("somebody waits"),
            left => spawn_link(left, end),
        }
    });
}

async fn chained_spawn_once() -> f64 {
    let (end, ended) = oneshot::channel();
    let start = Instant::now();
    spawn_link(MILLION, end);
    assert_eq!(ended.await.unwrap(), 0, "links left");
    ns_each(start, MILLION)
}

pub fn chained_spawn(m: &Micro) -> Vec<f64> {
    median_on_pool(m, chained_spawn_once)
}

const CHILDREN: usize = 100_000;

/// What comes closest to a scope is a JoinSet: spawn all children into it, and take their results as they end. They
/// return their marks, because they cannot write to what belongs to the task above.
async fn scope_100k_once() -> f64 {
    let start = Instant::now();
    let mut scope = JoinSet::new();
    let mut marked = 0;
    for _ in 0..CHILDREN {
        scope.spawn(async { 1 });
    }
    while let Some(mark) = scope.join_next().await {
        marked += mark.unwrap();
    }
    let ns = ns_each(start, CHILDREN);
    assert_eq!(marked, CHILDREN, "children that ran");
    ns
}

pub fn scope_100k(m: &Micro) -> Vec<f64> {
    median_on_pool(m, scope_100k_once)
}
