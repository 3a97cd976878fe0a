//! What the handles of a pool and its threads share.

use super::job::{Job, Line};
use super::placement::Placement;
use super::rest;
use crate::abi::{Status, TaskFn};
use crate::cores::available_cores;
use crate::memory::Owned;
use crate::sys::fork::ForkDetector;
use crate::sys::{cpu, futex, thread};
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize};

/// The state of a pool, at an address that does not change.
pub(super) struct Shared {
    job: Job,
    /// Whether a call is in progress; the thread that sets it may open a job.
    in_use: Line<AtomicBool>,
    rest: Line<Rest>,
    /// One for each thread but the caller, which is worker 0.
    workers: Owned<[Worker]>,
    /// Whether threads spin before they sleep.
    spins: bool,
    /// Number of handles to the pool.
    handles: AtomicUsize,
    fork: ForkDetector,
}

/// What idle workers wait for.
struct Rest {
    /// The word that workers sleep on; changes whenever some are to be woken.
    signal: AtomicU32,
    /// Number of workers that sleep or are about to.
    sleepers: AtomicU32,
    /// CPU of the caller that last woke a worker; [`NO_CPU`] if it is not known.
    caller_cpu: AtomicU32,
    /// Workers are to end.
    closing: AtomicBool,
}

/// A value of [`Rest::caller_cpu`].
const NO_CPU: u32 = u32::MAX;

/// One thread of the pool.
struct Worker {
    number: u32,
    /// Set once, before the thread starts.
    pool: AtomicPtr<Shared>,
    /// The thread's id; 0 while it has not started. Set by the thread and by the one that starts it.
    thread: AtomicUsize,
}

impl Shared {
    /// A pool of `threads` threads, not 0, none of them started.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub(super) fn new(threads: u32) -> Result<Shared, Status> {
        Ok(Shared {
            job: Job::new(threads),
            in_use: Line(AtomicBool::new(false)),
            rest: Line(Rest {
                signal: AtomicU32::new(0),
                sleepers: AtomicU32::new(0),
                caller_cpu: AtomicU32::new(NO_CPU),
                closing: AtomicBool::new(false),
            }),
            workers: Owned::from_fn(threads as usize - 1, |index| Worker {
                number: index as u32 + 1,
                pool: AtomicPtr::new(ptr::null_mut()),
                thread: AtomicUsize::new(0),
            })?,
            spins: threads <= available_cores(),
            handles: AtomicUsize::new(1),
            fork: ForkDetector::new().ok_or(Status::OutOfMemory)?,
        })
    }

    /// Number of threads, the caller included.
    pub(super) fn threads(&self) -> u32 {
        self.workers.len() as u32 + 1
    }

    /// Counts one more handle.
    pub(super) fn add_handle(&self) {
        self.handles.fetch_add(1, Relaxed);
    }

    /// Counts one handle less; `true` if that was the last.
    pub(super) fn drop_handle(&self) -> bool {
        self.handles.fetch_sub(1, AcqRel) == 1
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// [`Status::NoThreads`] if the system refuses one; those before it run, and [`Shared::stop`] ends them.
    ///
    /// # Safety
    /// Called once. `self` does not move and is not dropped before [`Shared::stop`] has returned.
    pub(super) unsafe fn start_workers(&self) -> Result<(), Status> {
        for worker in &*self.workers {
            worker.pool.store((&raw const *self).cast_mut(), Relaxed);
            let argument = (&raw const *worker).cast_mut().cast();
            // SAFETY: the worker and the pool that it points to live until `stop` has joined the thread.
            let id = unsafe { thread::spawn(worker_main, argument) }.ok_or(Status::NoThreads)?;
            worker.thread.store(id, Relaxed);
        }
        Ok(())
    }

    /// Ends and joins the threads; in a forked child, which has none, does nothing.
    ///
    /// # Safety
    /// Called once, by a thread that is not one of them, when no call is in progress.
    pub(super) unsafe fn stop(&self) {
        if self.fork.is_forked_child() {
            return;
        }
        self.rest.0.closing.store(true, SeqCst);
        self.signal_workers(u32::MAX);
        for worker in &*self.workers {
            let id = worker.thread.load(Relaxed);
            if id != 0 {
                // SAFETY: the id is that of a thread that `start_workers` started and nobody else joins.
                unsafe { thread::join(id) };
            }
        }
    }

    /// Runs the chunks `0..chunks` and returns when all are done: on all threads, or on this one alone if the
    /// pool is in use or its threads are not there.
    ///
    /// # Safety
    /// Until this returns, `task` may be called with `frame` on any thread, as
    /// [`TaskFn`] demands.
    pub(super) unsafe fn parallel_for(&self, task: TaskFn, frame: *const u8, chunks: u64) {
        if chunks == 0 {
            return;
        }
        let alone = chunks == 1
            || self.workers.is_empty()
            || self.fork.is_forked_child()
            || self.in_use.0.swap(true, Acquire);
        if alone {
            // SAFETY: by this function's contract; the worker number is this thread's own.
            unsafe { task(frame, 0, chunks, self.current_worker()) };
            return;
        }
        // SAFETY: `in_use` was free, so no other thread is between here and its release, where the job is
        // complete; the task is good until this returns.
        unsafe { self.job.open(task, frame, chunks) };
        if self.rest.0.sleepers.load(SeqCst) > 0 {
            self.rest.0.caller_cpu.store(cpu::current_cpu().unwrap_or(NO_CPU), Relaxed);
            self.signal_workers(u32::try_from(chunks - 1).unwrap_or(u32::MAX));
        }
        self.job.take_part(0);
        self.wait_for_job();
        self.in_use.0.store(false, Release);
    }

    /// The worker number under which this thread runs chunks alone: inside a task, that of the task, so that
    /// no two threads use the same number for one frame.
    fn current_worker(&self) -> u32 {
        // A task's own job holds `in_use`, so where it is free there is no task around this call.
        if !self.in_use.0.load(Relaxed) {
            return 0;
        }
        let id = thread::current_id();
        self.workers.iter().find(|worker| worker.thread.load(Relaxed) == id).map_or(0, |worker| worker.number)
    }

    /// Waits until every chunk of the job is done.
    fn wait_for_job(&self) {
        if self.job.is_complete() || self.spins && rest::spin_until(|| self.job.is_complete()) {
            return;
        }
        while let Some((word, value)) = self.job.announce_sleep() {
            futex::wait(word, value);
        }
    }

    /// What a worker does until the pool closes.
    fn work(&self, number: u32) {
        let Rest { closing, caller_cpu, .. } = &self.rest.0;
        let mut placement = Placement::new();
        while !closing.load(Relaxed) {
            if let Some(caller) = self.job.take_part(number) {
                futex::wake(caller, 1);
            }
            let awake = self.spins && rest::spin_until(|| self.job.has_work() || closing.load(Relaxed));
            if !awake {
                self.sleep_until_signal();
                if self.spins {
                    placement.leave(caller_cpu.load(Relaxed));
                }
            }
        }
    }

    /// Puts a worker to sleep, unless there is work.
    ///
    /// No signal is missed. A caller opens its job and then reads `sleepers`; a worker adds itself to
    /// `sleepers` and then looks for a job. All four are sequentially consistent, so one sees the other: the
    /// worker finds the job and stays awake, or the caller changes the signal, which then no longer is what
    /// the worker read before it looked. Closing the pool always signals.
    fn sleep_until_signal(&self) {
        let rest = &self.rest.0;
        let signal = rest.signal.load(SeqCst);
        rest.sleepers.fetch_add(1, SeqCst);
        if !self.job.has_work() && !rest.closing.load(SeqCst) {
            futex::wait(&rest.signal, signal);
        }
        rest.sleepers.fetch_sub(1, SeqCst);
    }

    /// Wakes up to `count` sleeping workers.
    fn signal_workers(&self, count: u32) {
        self.rest.0.signal.fetch_add(1, SeqCst);
        futex::wake(&self.rest.0.signal, count);
    }
}

/// The main function of a worker's thread; `argument` is a [`Worker`].
extern "C" fn worker_main(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start_workers` passes a worker that lives until this thread is joined.
    let worker = unsafe { &*argument.cast::<Worker>() };
    // SAFETY: the pool likewise, and its address was stored before this thread was started.
    let pool = unsafe { &*worker.pool.load(Relaxed) };
    worker.thread.store(thread::current_id(), Relaxed);
    thread::name_current(c"bessemer");
    pool.work(worker.number);
    ptr::null_mut()
}
