//! Channels: two tasks that answer each other, many that send to one, and a choice among two.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::measure::{MILLION, Micro, median_on_pool, ns_each, resident};

// --- pingpong --------------------------------------------------------------------------------------------------------

async fn answers(mut there: Receiver<u64>, back: Sender<u64>, round_trips: u64) {
    for _ in 0..round_trips {
        let n = there.recv().await.expect("a ping");
        back.send(n + 1).await.expect("somebody receives pongs");
    }
}

async fn asks(there: Sender<u64>, mut back: Receiver<u64>, round_trips: u64) {
    for i in 0..round_trips {
        there.send(i).await.expect("somebody receives pings");
        assert_eq!(back.recv().await, Some(i + 1), "a pong");
    }
}

/// Runs `n` pairs at once: one of each sends a number, the other one sends it back, one up. Nanoseconds a round trip.
async fn play(n: usize, round_trips: usize) -> f64 {
    let pairs: Vec<_> = (0..n).map(|_| (channel(1), channel(1))).collect();
    let mut tasks: Vec<JoinHandle<()>> = resident(2 * n);

    let start = Instant::now();
    for ((there_tx, there_rx), (back_tx, back_rx)) in pairs {
        tasks.push(tokio::spawn(answers(there_rx, back_tx, round_trips as u64)));
        tasks.push(tokio::spawn(asks(there_tx, back_rx, round_trips as u64)));
    }
    for task in tasks {
        task.await.expect("a player ends");
    }
    ns_each(start, n * round_trips)
}

pub fn pingpong_1(m: &Micro) -> Vec<f64> {
    median_on_pool(m, || play(1, MILLION / 2))
}

pub fn pingpong_1000(m: &Micro) -> Vec<f64> {
    median_on_pool(m, || play(1000, 1000))
}

// --- many to one -----------------------------------------------------------------------------------------------------

const MESSAGES: u64 = 4 * MILLION as u64;
const CAPACITY: usize = 1024;

async fn produces(to: Sender<u64>, first: u64, count: u64) {
    for n in first..first + count {
        to.send(n).await.expect("somebody receives");
    }
}

/// How many messages came until the last producer was gone, and their sum.
async fn consumes(mut from: Receiver<u64>) -> (u64, u64) {
    let (mut count, mut sum) = (0, 0);
    while let Some(n) = from.recv().await {
        count += 1;
        sum += n;
    }
    (count, sum)
}

/// Sends the numbers from 0 to MESSAGES - 1. Million messages a second.
async fn transfer(producers: u64) -> f64 {
    let each = MESSAGES / producers;
    let (tx, rx) = channel(CAPACITY);

    let start = Instant::now();
    let consumer = tokio::spawn(consumes(rx));
    let senders: Vec<_> = (0..producers).map(|i| tokio::spawn(produces(tx.clone(), i * each, each))).collect();
    drop(tx); // the producers' ends only: the channel ends with them
    for sender in senders {
        sender.await.expect("a producer ends");
    }
    let (count, sum) = consumer.await.expect("the consumer ends");
    let took = start.elapsed();

    assert_eq!(count, MESSAGES, "messages received");
    assert_eq!(sum, MESSAGES * (MESSAGES - 1) / 2, "the sum of the messages");
    MESSAGES as f64 * 1e3 / took.as_nanos() as f64
}

pub fn mpsc_1p(m: &Micro) -> Vec<f64> {
    median_on_pool(m, || transfer(1))
}

pub fn mpsc_8p(m: &Micro) -> Vec<f64> {
    median_on_pool(m, || transfer(8))
}

// --- select ----------------------------------------------------------------------------------------------------------

const SELECTS: usize = 512 * 1024;
const IN_A_ROW: usize = 4096;

/// Channels that are filled before, and drained after the clock is read: there are only so many selects in a row that
/// none of them can find a channel empty.
struct Bank {
    channels: [(Sender<u64>, Receiver<u64>); 2],
    sent: u64, // sums
    received: u64,
}

impl Bank {
    fn fill(&mut self) {
        for (tx, _) in &self.channels {
            for n in 0..IN_A_ROW as u64 {
                tx.try_send(n).expect("there is room");
                self.sent += n;
            }
        }
    }

    fn drain(&mut self) {
        for (_, rx) in &mut self.channels {
            while let Ok(n) = rx.try_recv() {
                self.received += n;
            }
        }
    }

    /// How long the selects in a row took.
    async fn select_row(&mut self) -> Duration {
        let [(_, a), (_, b)] = &mut self.channels;
        let start = Instant::now();
        for _ in 0..IN_A_ROW {
            self.received += tokio::select! {
                n = a.recv() => n,
                n = b.recv() => n,
            }
            .expect("a message");
        }
        start.elapsed()
    }
}

async fn select_2_once() -> f64 {
    let mut bank = Bank { channels: [channel(IN_A_ROW), channel(IN_A_ROW)], sent: 0, received: 0 };
    let mut took = Duration::ZERO;
    for _ in 0..SELECTS / IN_A_ROW {
        bank.fill();
        took += bank.select_row().await;
        bank.drain();
    }
    assert_eq!(bank.received, bank.sent, "the sum of the messages");
    took.as_nanos() as f64 / SELECTS as f64
}

pub fn select_2(m: &Micro) -> Vec<f64> {
    median_on_pool(m, select_2_once)
}
