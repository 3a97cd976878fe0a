//! How long `parallel_for` takes when there is nothing to do: run with
//! `cargo bench -p bessemer-runtime --bench dispatch [THREADS]`.
//!
//! Prints, for an idle machine, the median and the 90th percentile of batches of calls, per call:
//!
//! - *meet*: one chunk for each thread, and no chunk ends before all have begun. The full price of dispatch and
//!   join, as every thread has to be reached and waited for.
//! - *empty*: the same chunks, doing nothing. The caller may have done them all before another thread is there.
//! - *slept*: as *meet*, after a pause in which the threads fell asleep.
//! - *step*: what a call adds to a training step of 20 kernels of 5 µs.

use bessemer_runtime::available_cores;
use bessemer_runtime::pool::Pool;
use std::hint;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

fn main() {
    let threads = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(2);
    let pool = Pool::new(threads).expect("a pool");
    println!(
        "{threads} threads on {} cores, nanoseconds a call (median, 90th percentile)",
        available_cores()
    );

    report("meet", 1000, || meet(&pool));
    report("empty", 1000, || pool.for_each_chunk(threads.into(), |_, _| {}));
    report_after("slept", Duration::from_millis(2), || meet(&pool));

    let kernel = Duration::from_micros(5);
    let serial = median(&mut batches(20, || work(kernel)));
    let pooled = median(&mut batches(20, || {
        pool.for_each_chunk(threads.into(), |range, _| range.for_each(|_| work(kernel)));
    }));
    println!("step    {:8.0}", pooled - serial);
}

/// One call in which all threads meet.
fn meet(pool: &Pool) {
    let begun = AtomicU32::new(0);
    pool.for_each_chunk(pool.threads().into(), |range, _| {
        begun.fetch_add((range.end - range.start) as u32, Release);
        while begun.load(Acquire) < pool.threads() {
            hint::spin_loop();
        }
    });
}

/// Keeps a core busy.
fn work(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        hint::spin_loop();
    }
}

/// Nanoseconds a call, for each of 500 batches.
fn batches(calls: u32, mut call: impl FnMut()) -> Vec<f64> {
    let mut batch = || {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..500).map(|_| batch()).collect()
}

fn report(name: &str, calls: u32, call: impl FnMut()) {
    print(name, batches(calls, call));
}

fn report_after(name: &str, pause: Duration, mut call: impl FnMut()) {
    let mut timed = || {
        std::thread::sleep(pause);
        let start = Instant::now();
        call();
        start.elapsed().as_nanos() as f64
    };
    print(name, (0..500).map(|_| timed()).collect());
}

fn print(name: &str, mut times: Vec<f64>) {
    let median = median(&mut times);
    println!("{name:7} {median:8.0} {:8.0}", times[times.len() * 9 / 10]);
}

/// Sorts the times and returns the one in the middle.
fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
