//! The neighbours of the echo server (--neighbours): tasks that are always ready, or soon ready again. Each counts in a
//! place of its own, in a file that the load generator reads.

use std::ffi::CString;
use std::fmt::Debug;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use peer::{compute, die, usage};
use tokio::sync::{Mutex, mpsc};
use tokio::task::yield_now;
use tokio::time::sleep;

const COUNTER_SIZE: usize = 128; // as bench/echo/counters.h has it
const SLEEP: Duration = Duration::from_micros(100);
const COMPUTE: Duration = Duration::from_micros(10);
const MAX: usize = 1000;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    Chat,
    Yield,
    Spawn,
    Sleep,
    Mutex,
    Compute,
}

/// What the command line asks for.
pub struct Neighbours {
    kind: Kind,
    count: usize,
    pub counters: Option<String>,
}

impl Neighbours {
    pub fn none() -> Self {
        Neighbours { kind: Kind::None, count: 0, counters: None }
    }

    /// Reads KIND:N, or "none".
    pub fn ask(&mut self, text: &str) {
        let (name, count) = text.split_once(':').unwrap_or((text, ""));
        self.kind = match name {
            "none" => Kind::None,
            "chat" => Kind::Chat,
            "yield" => Kind::Yield,
            "spawn" => Kind::Spawn,
            "sleep" => Kind::Sleep,
            "mutex" => Kind::Mutex,
            "compute" => Kind::Compute,
            _ => usage(&format!("--neighbours {text}: there is no such kind")),
        };
        self.count = match count.parse() {
            _ if self.kind == Kind::None => 0,
            Ok(n) if (1..=MAX).contains(&n) => n,
            _ => usage(&format!("--neighbours {text}: not a number from 1 to {MAX}")),
        };
    }

    /// Spawns them, from inside the runtime.
    pub fn start(&self) {
        let counters = map_counters(self.counters.as_deref(), self.count + 1); // no bytes cannot be mapped
        let shared = Arc::new(Mutex::new(()));
        for i in 0..self.count {
            let counter = Counter(counters.wrapping_add(i * COUNTER_SIZE / size_of::<u64>()));
            match self.kind {
                Kind::None => {}
                Kind::Chat => start_chat(counter),
                Kind::Yield => drop(tokio::spawn(yields(counter))),
                Kind::Spawn => drop(tokio::spawn(spawns(counter))),
                Kind::Sleep => drop(tokio::spawn(sleeps(counter))),
                Kind::Mutex => drop(tokio::spawn(locks(counter, shared.clone()))),
                Kind::Compute => drop(tokio::spawn(computes(counter))),
            }
        }
    }
}

/// A neighbour's count of its rounds.
struct Counter(*mut u64);

// SAFETY: the memory is never unmapped, and only one task has the pointer.
unsafe impl Send for Counter {}

impl Counter {
    /// One round more. A task has it by reference, so that it is never out of a place that can be sent.
    fn count(&mut self) {
        // SAFETY: it points into the mapping, and nobody else writes there.
        unsafe { ptr::write_volatile(self.0, *self.0 + 1) }
    }
}

fn map_counters(path: Option<&str>, count: usize) -> *mut u64 {
    let size = count * COUNTER_SIZE;
    let fd = path.map_or(-1, |path| make_file(path, size));
    let flags = libc::MAP_SHARED | if fd < 0 { libc::MAP_ANONYMOUS } else { 0 };
    // SAFETY: a new mapping of a file that is so long, or of none.
    let map = unsafe { libc::mmap(ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, fd, 0) };
    if map == libc::MAP_FAILED {
        die("counters", std::io::Error::last_os_error());
    }
    map.cast()
}

/// A descriptor, which stays open as long as the program runs.
fn make_file(path: &str, size: usize) -> i32 {
    let name = CString::new(path).unwrap_or_else(|e| die(path, e));
    // SAFETY: `name` ends with a zero, and the descriptor is this function's own.
    unsafe {
        let fd = libc::open(name.as_ptr(), libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC, 0o600);
        if fd < 0 || libc::ftruncate(fd, size as libc::off_t) < 0 {
            die(path, std::io::Error::last_os_error());
        }
        fd
    }
}

/// What was measured beside a neighbour that stands still would mean nothing.
fn must<T, E: Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|e| die("a neighbour", format!("{e:?}")))
}

fn start_chat(mut counter: Counter) {
    let (there, mut questions) = mpsc::channel::<u64>(1);
    let (back, mut answers) = mpsc::channel::<u64>(1);
    tokio::spawn(async move {
        while let Some(word) = questions.recv().await {
            must(back.send(word).await);
        }
    });
    tokio::spawn(async move {
        loop {
            must(there.send(0).await);
            must(answers.recv().await.ok_or("closed"));
            counter.count();
        }
    });
}

async fn yields(mut counter: Counter) {
    loop {
        yield_now().await;
        counter.count();
    }
}

async fn spawns(mut counter: Counter) {
    loop {
        must(tokio::spawn(async {}).await);
        counter.count();
    }
}

async fn sleeps(mut counter: Counter) {
    loop {
        sleep(SLEEP).await;
        counter.count();
    }
}

async fn locks(mut counter: Counter, shared: Arc<Mutex<()>>) {
    loop {
        let held = shared.lock().await;
        yield_now().await;
        drop(held);
        counter.count();
    }
}

async fn computes(mut counter: Counter) {
    loop {
        compute(COMPUTE);
        yield_now().await;
        counter.count();
    }
}
