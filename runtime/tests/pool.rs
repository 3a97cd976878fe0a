//! The thread pool: every chunk once, whatever the number of threads, callers and calls.

mod child;

use bessemer_runtime::abi::Status;
use bessemer_runtime::available_cores;
use bessemer_runtime::pool::Pool;
use child::{End, run_in_child};
use std::cell::UnsafeCell;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

/// How often each chunk was run in one call, after the ranges were checked.
fn counts(pool: &Pool, chunks: u64) -> Vec<u32> {
    let counts: Vec<AtomicU32> = (0..chunks).map(|_| AtomicU32::new(0)).collect();
    pool.for_each_chunk(chunks, |range, worker| {
        assert!(range.start < range.end && range.end <= chunks);
        assert!(worker < pool.threads());
        for chunk in range {
            counts[chunk as usize].fetch_add(1, Relaxed);
        }
    });
    counts.into_iter().map(AtomicU32::into_inner).collect()
}

#[test]
fn every_chunk_runs_once() {
    for threads in [1, 2, 3, available_cores() + 3] {
        let pool = Pool::new(threads).expect("threads");
        assert_eq!(pool.threads(), threads);
        for chunks in [0, 1, 2, 3, 7, 64, 1000, 12_345] {
            assert!(
                counts(&pool, chunks).iter().all(|&count| count == 1),
                "{threads} threads, {chunks} chunks"
            );
        }
    }
}

#[test]
fn more_chunks_than_the_claim_can_count() {
    for chunks in [(1u64 << 24) - 1, 1 << 24, (1 << 24) + 1, (1 << 40) + 12_345, u64::MAX] {
        let pool = Pool::new(2).expect("threads");
        let (sum, pieces) = (AtomicU64::new(0), AtomicU64::new(0));
        pool.for_each_chunk(chunks, |range, _| {
            assert!(range.start < range.end && range.end <= chunks);
            sum.fetch_add(range.end - range.start, Relaxed);
            pieces.fetch_add(1, Relaxed);
        });
        assert_eq!(sum.into_inner(), chunks);
        assert!(pieces.into_inner() < 1000, "chunks are dealt out many at a time");
    }
}

/// Plain memory: nothing but the pool orders accesses to it, so a sanitizer sees where it does not.
struct Plain(Vec<UnsafeCell<u64>>);

// SAFETY: each test says which thread accesses which cell when.
unsafe impl Sync for Plain {}

impl Plain {
    fn new(len: usize) -> Plain {
        Plain((0..len).map(|_| UnsafeCell::new(0)).collect())
    }

    /// # Safety
    /// No other thread writes the cell meanwhile.
    unsafe fn get(&self, index: usize) -> u64 {
        // SAFETY: by this function's contract.
        unsafe { *self.0[index].get() }
    }

    /// # Safety
    /// No other thread reads or writes the cell meanwhile.
    unsafe fn set(&self, index: usize, value: u64) {
        // SAFETY: by this function's contract.
        unsafe { *self.0[index].get() = value }
    }
}

#[test]
fn what_one_call_writes_the_next_one_reads() {
    const CELLS: usize = 97;
    let pool = Pool::new(3).expect("threads");
    let (mut from, mut to) = (Plain::new(CELLS), Plain::new(CELLS));
    for round in 0..20_000 {
        pool.for_each_chunk(CELLS as u64, |range, _| {
            for chunk in range.start as usize..range.end as usize {
                // SAFETY: in this call nobody writes `from`, and chunk `i` alone uses cell `i` of `to`.
                unsafe { to.set(chunk, from.get((chunk + 1) % CELLS) + 1) };
            }
        });
        // SAFETY: no call is in progress.
        let sum: u64 = (0..CELLS).map(|cell| unsafe { to.get(cell) }).sum();
        assert_eq!(sum, CELLS as u64 * (round + 1));
        std::mem::swap(&mut from, &mut to);
    }
}

#[test]
fn many_small_calls_from_many_threads() {
    for threads in [1, 2, 5] {
        let pool = Pool::new(threads).expect("threads");
        thread::scope(|scope| {
            for caller in 0..4u64 {
                let pool = pool.clone();
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let chunks = (round + caller) % 9;
                        let sum = AtomicU64::new(0);
                        pool.for_each_chunk(chunks, |range, _| {
                            sum.fetch_add(range.map(|chunk| chunk + 1).sum(), Relaxed);
                        });
                        assert_eq!(sum.into_inner(), chunks * (chunks + 1) / 2);
                    }
                });
            }
        });
    }
}

#[test]
fn worker_numbers_do_not_overlap_in_a_call() {
    let pool = Pool::new(4).expect("threads");
    for _ in 0..2_000 {
        let busy: [AtomicBool; 4] = Default::default();
        pool.for_each_chunk(16, |_, worker| {
            assert!(!busy[worker as usize].swap(true, SeqCst), "two threads are worker {worker}");
            busy[worker as usize].store(false, SeqCst);
        });
    }
}

#[test]
fn all_threads_take_part() {
    let pool = Pool::new(3).expect("threads");
    for _ in 0..50 {
        // Each chunk waits for the others to begin, which only three threads can do.
        let begun = AtomicU32::new(0);
        pool.for_each_chunk(3, |range, _| {
            assert_eq!(range.end - range.start, 1);
            begun.fetch_add(1, SeqCst);
            while begun.load(SeqCst) < 3 {
                thread::yield_now();
            }
        });
    }
}

#[test]
fn sleeping_threads_wake_up() {
    let pool = Pool::new(2).expect("threads");
    for _ in 0..50 {
        thread::sleep(Duration::from_millis(1));
        let begun = AtomicU32::new(0);
        pool.for_each_chunk(2, |_, _| {
            begun.fetch_add(1, SeqCst);
            while begun.load(SeqCst) < 2 {
                thread::yield_now();
            }
        });
    }
}

#[test]
fn the_caller_sleeps_through_a_long_chunk() {
    let pool = Pool::new(2).expect("threads");
    for _ in 0..20 {
        let begun = AtomicU32::new(0);
        let done = AtomicU32::new(0);
        pool.for_each_chunk(2, |_, worker| {
            begun.fetch_add(1, SeqCst);
            while begun.load(SeqCst) < 2 {
                thread::yield_now();
            }
            if worker != 0 {
                thread::sleep(Duration::from_millis(2));
            }
            done.fetch_add(1, Relaxed);
        });
        assert_eq!(done.load(Relaxed), 2);
    }
}

#[test]
fn a_call_inside_a_task_runs_on_that_thread_as_that_worker() {
    let pool = Pool::new(3).expect("threads");
    for _ in 0..200 {
        let runs = AtomicU32::new(0);
        pool.for_each_chunk(6, |range, outer| {
            let thread = thread::current().id();
            for _ in range {
                for chunks in [1, 5] {
                    pool.for_each_chunk(chunks, |range, inner| {
                        assert_eq!((range.start, range.end), (0, chunks));
                        assert_eq!(inner, outer);
                        assert_eq!(thread::current().id(), thread);
                        runs.fetch_add(1, Relaxed);
                    });
                }
            }
        });
        assert_eq!(runs.into_inner(), 12);
    }
}

#[test]
fn a_second_caller_does_not_wait() {
    let pool = Pool::new(2).expect("threads");
    let (entered, leave) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            pool.for_each_chunk(2, |_, _| {
                entered.store(true, SeqCst);
                while !leave.load(SeqCst) {
                    thread::yield_now();
                }
            });
        });
        while !entered.load(SeqCst) {
            thread::yield_now();
        }
        assert_eq!(counts(&pool, 100), [1; 100]);
        leave.store(true, SeqCst);
    });
}

#[test]
fn dropping_the_last_handle_joins_the_threads() {
    let before = own_threads().len();
    let mut started = HashSet::new();
    for _ in 0..50 {
        let pool = Pool::new(4).expect("threads");
        let other = pool.clone();
        drop(pool);
        let seen = Mutex::new(HashSet::new());
        // Threads of this pool, whatever other tests start meanwhile.
        other.for_each_chunk(64, |_, _| {
            // SAFETY: no pointers.
            seen.lock().expect("no panic").insert(unsafe { libc::gettid() });
            thread::yield_now();
        });
        drop(other);
        let mut seen = seen.into_inner().expect("no panic");
        // SAFETY: no pointers.
        seen.remove(&unsafe { libc::gettid() });
        // A thread that was joined may be listed for a moment more: the kernel wakes the joiner first.
        let patience = Instant::now() + Duration::from_secs(10);
        while !seen.is_disjoint(&own_threads()) {
            assert!(Instant::now() < patience, "{seen:?} should have ended, of {before} at first");
            thread::yield_now();
        }
        started.extend(seen);
    }
    assert!(!started.is_empty(), "no worker ever took part");
}

/// Ids of the threads of this process.
fn own_threads() -> HashSet<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("proc is mounted");
    tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect()
}

#[test]
fn a_pool_that_was_never_used_can_be_dropped_at_once() {
    for threads in [1, 2, 9] {
        for _ in 0..100 {
            drop(Pool::new(threads).expect("threads"));
        }
    }
}

#[test]
fn a_forked_child_runs_alone() {
    let pool = Pool::new(3).expect("threads");
    assert_eq!(counts(&pool, 10), [1; 10]);
    let handle = pool.clone();
    let end = run_in_child(move || {
        let calls = AtomicU32::new(0);
        for _ in 0..100 {
            handle.for_each_chunk(10, |range, worker| {
                let alone = range == (0..10) && worker == 0;
                calls.fetch_add(u32::from(alone), Relaxed);
            });
        }
        // The parent's threads are not there to be joined.
        drop((handle, pool.clone(), pool));
        calls.into_inner() == 100
    });
    assert_eq!(end, End::Said(true));
}

#[test]
fn a_fork_during_a_call_leaves_both_sides_working() {
    let pool = Pool::new(3).expect("threads");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                assert_eq!(counts(&pool, 50), [1; 50]);
            }
        });
        for _ in 0..20 {
            let end = run_in_child(|| {
                let done = AtomicU64::new(0);
                pool.for_each_chunk(50, |range, _| {
                    done.fetch_add(range.end - range.start, Relaxed);
                });
                done.load(Relaxed) == 50
            });
            assert_eq!(end, End::Said(true));
        }
        stop.store(true, Relaxed);
    });
}

#[test]
fn a_child_may_have_a_pool_of_its_own() {
    let end = run_in_child(|| {
        let Ok(pool) = Pool::new(2) else { return false };
        let begun = AtomicU32::new(0);
        pool.for_each_chunk(2, |_, _| {
            begun.fetch_add(1, SeqCst);
            while begun.load(SeqCst) < 2 {
                thread::yield_now();
            }
        });
        true
    });
    assert_eq!(end, End::Said(true));
}

#[test]
fn a_pool_needs_a_sensible_number_of_threads() {
    assert_eq!(Pool::new(0).err(), Some(Status::InvalidArgument));
    assert_eq!(Pool::new(Pool::MAX_THREADS + 1).err(), Some(Status::InvalidArgument));
    assert_eq!(Pool::with_available_cores().expect("threads").threads(), available_cores());
}

/// Bytes of addresses that the process has in use.
fn address_space() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("the test runs on Linux");
    let pages: u64 = pages.split(' ').next().and_then(|size| size.parse().ok()).expect("a number of pages");
    // SAFETY: the call reads a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * page.unsigned_abs()
}

#[test]
fn threads_that_the_system_refuses_are_an_error() {
    // In a child, as the limit is the whole process's: room for some stacks, not for a thousand, beside what there is of the
    // other tests.
    let taken = address_space();
    let end = run_in_child(|| {
        let most = taken + (1 << 30);
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: `limit` is valid for reads.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
        let refused = Pool::new(Pool::MAX_THREADS).err() == Some(Status::NoThreads);
        // Those that had started are gone, and their memory with them.
        refused && Pool::new(4).is_ok()
    });
    assert_eq!(end, End::Said(true));
}

#[test]
fn an_idle_pool_uses_no_cpu() {
    // In a child, so that other tests do not count.
    let end = run_in_child(|| {
        let Ok(pool) = Pool::new(2) else { return false };
        pool.for_each_chunk(8, |_, _| {});
        thread::sleep(Duration::from_millis(20));
        let (cpu, wall) = (cpu_time(), Instant::now());
        while wall.elapsed() < Duration::from_millis(200) {
            thread::sleep(Duration::from_millis(50));
        }
        cpu_time() - cpu < Duration::from_millis(20)
    });
    assert_eq!(end, End::Said(true));
}

/// CPU time of all threads of this process.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
