//! Instances: calls, the busy rule, scratch, the index error record, memory errors in generated code.
//!
//! The entry points are written as the compiler writes them: `extern "C"`, all through the context.

mod child;

use bessemer_runtime::abi::{ABI_VERSION, Context, IndexError, ProgramLayout, StateHeader, Status};
use bessemer_runtime::instance::{Access, BadIndex, Failure, Instance, Threads};
use bessemer_runtime::pool::Pool;
use child::{End, run_in_child};
use std::ffi::c_void;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::thread;

const FINGERPRINT: u64 = 0x1234;

/// A program with one variable of 64 bytes.
fn layout() -> ProgramLayout {
    ProgramLayout { scratch_bytes_per_worker: 64, ..ProgramLayout::new(FINGERPRINT, 128, 256) }
}

fn serial() -> Instance {
    Instance::new(layout(), Threads::serial()).expect("memory")
}

fn on_threads(threads: u32) -> Instance {
    Instance::new(layout(), Pool::new(threads).expect("threads").into()).expect("memory")
}

/// Adds `*args[0]` to the first number of the variable, puts the sum in `*args[1]` and counts the step.
unsafe extern "C" fn add(_: *mut Context, state: *mut u8, _: *mut u8, args: *const *mut u8) -> i32 {
    // SAFETY: called with two numbers and exclusively.
    unsafe {
        let variable = state.add(StateHeader::SIZE).cast::<u64>();
        *variable += *(*args).cast::<u64>();
        *(*args.add(1)).cast::<u64>() = *variable;
        *state.add(StateHeader::STEP_OFFSET).cast::<u64>() += 1;
    }
    Status::Ok.code()
}

/// Calls [`add`].
fn run_add(instance: &Instance, mut term: u64) -> Result<u64, Failure> {
    let mut sum = 0u64;
    let args = [(&raw mut term).cast(), (&raw mut sum).cast()];
    // SAFETY: `add` wants two numbers and exclusive access.
    unsafe { instance.run(add, &args, Access::Exclusive)? };
    Ok(sum)
}

#[test]
fn a_new_state_has_a_header_and_zeroes() {
    let instance = serial();
    let state = instance.state().expect("idle");
    assert_eq!(state.header(), StateHeader::new(FINGERPRINT));
    assert_eq!(state.header().check(FINGERPRINT), Ok(()));
    assert_eq!(state.bytes(64, 64).expect("inside"), [0; 64]);
}

#[test]
fn a_call_sees_its_arguments_and_the_state() {
    let instance = serial();
    assert_eq!(run_add(&instance, 2), Ok(2));
    assert_eq!(run_add(&instance, 40), Ok(42));
    assert_eq!(instance.step(), Ok(2));
    let mut bytes = [0; 8];
    instance.read(64, &mut bytes).expect("idle");
    assert_eq!(u64::from_ne_bytes(bytes), 42);
    instance.write(64, &7u64.to_ne_bytes()).expect("idle");
    assert_eq!(run_add(&instance, 0), Ok(7));
}

#[test]
fn seed_and_step_can_be_set() {
    let instance = serial();
    assert_eq!((instance.seed(), instance.step()), (Ok(0), Ok(0)));
    instance.set_seed(5).expect("idle");
    instance.set_step(9).expect("idle");
    assert_eq!((instance.seed(), instance.step()), (Ok(5), Ok(9)));
    assert_eq!(instance.state().expect("idle").header().check(FINGERPRINT), Ok(()));
}

#[test]
fn bytes_outside_the_state_are_refused() {
    let instance = serial();
    for (offset, len) in [(128, 1), (64, 65), (usize::MAX, 1), (1, usize::MAX), (129, 0)] {
        assert_eq!(instance.state().expect("idle").bytes(offset, len), Err(Status::InvalidArgument));
        assert_eq!(instance.state_mut().expect("idle").bytes(offset, len), Err(Status::InvalidArgument));
    }
    assert_eq!(instance.read(120, &mut [0; 9]), Err(Status::InvalidArgument));
    assert_eq!(instance.write(120, &[0; 9]), Err(Status::InvalidArgument));
    assert_eq!(instance.write(63, &[0]), Err(Status::InvalidArgument), "the header is not written as bytes");
    assert_eq!(instance.read(128, &mut []), Ok(()));
    assert_eq!(instance.write(128, &[]), Ok(()));
}

#[test]
fn a_program_of_another_abi_is_refused() {
    let other = ProgramLayout { abi_version: ABI_VERSION + 1, ..layout() };
    assert_eq!(Instance::new(other, Threads::serial()).err(), Some(Status::AbiMismatch));
}

#[test]
fn a_program_that_does_not_fit_is_refused() {
    for layout in [
        ProgramLayout { state_bytes: u64::MAX, ..layout() },
        ProgramLayout { scratch_bytes: u64::MAX, ..layout() },
        ProgramLayout { scratch_bytes_per_worker: u64::MAX / 2, ..layout() },
        ProgramLayout { state_bytes: 1 << 60, ..layout() },
    ] {
        assert_eq!(Instance::new(layout, Threads::serial()).err(), Some(Status::OutOfMemory));
    }
}

/// Returns what `*args[0]` says.
unsafe extern "C" fn fail(_: *mut Context, _: *mut u8, _: *mut u8, args: *const *mut u8) -> i32 {
    // SAFETY: called with one code.
    unsafe { *(*args).cast::<i32>() }
}

#[test]
fn what_the_entry_point_returns_is_the_status() {
    let instance = serial();
    let run = |mut code: i32| {
        // SAFETY: `fail` wants one code and touches nothing.
        unsafe { instance.run(fail, &[(&raw mut code).cast()], Access::Shared) }
    };
    assert_eq!(run(0), Ok(()));
    assert_eq!(run(Status::Aborted.code()), Err(Status::Aborted.into()));
    assert_eq!(run(-77), Err(Status::Unknown.into()));
    assert_eq!(
        run(Status::IndexOutOfRange.code()),
        Err(Failure { status: Status::IndexOutOfRange, index: None })
    );
}

/// Two flags, as the argument of [`hold`].
#[derive(Default)]
struct Hold {
    entered: AtomicBool,
    leave: AtomicBool,
}

/// Enters and waits to be told to leave.
unsafe extern "C" fn hold(_: *mut Context, _: *mut u8, _: *mut u8, args: *const *mut u8) -> i32 {
    // SAFETY: called with a `Hold` that lives until the call returns.
    let hold = unsafe { &*(*args).cast::<Hold>() };
    hold.entered.store(true, SeqCst);
    while !hold.leave.load(SeqCst) {
        thread::yield_now();
    }
    Status::Ok.code()
}

/// Runs `test` while another thread is inside a call with `access`.
fn during_call(instance: &Instance, access: Access, test: impl FnOnce()) {
    let flags = Hold::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: `hold` wants a `Hold` and touches nothing else.
            unsafe { instance.run(hold, &[(&raw const flags).cast_mut().cast()], access) }.expect("idle");
        });
        while !flags.entered.load(SeqCst) {
            thread::yield_now();
        }
        test();
        flags.leave.store(true, SeqCst);
    });
}

/// Whether a call with `access` is refused.
fn is_busy(instance: &Instance, access: Access) -> bool {
    let mut ok = 0i32;
    // SAFETY: `fail` wants one code and touches nothing.
    let result = unsafe { instance.run(fail, &[(&raw mut ok).cast()], access) };
    result == Err(Status::Busy.into())
}

#[test]
fn nothing_overlaps_an_exclusive_call() {
    let instance = serial();
    during_call(&instance, Access::Exclusive, || {
        assert!(is_busy(&instance, Access::Exclusive));
        assert!(is_busy(&instance, Access::Shared));
        assert_eq!(instance.seed(), Err(Status::Busy));
        assert_eq!(instance.set_seed(1), Err(Status::Busy));
        assert_eq!(instance.read(64, &mut [0]), Err(Status::Busy));
        assert_eq!(instance.write(64, &[0]), Err(Status::Busy));
    });
    assert!(!is_busy(&instance, Access::Exclusive));
}

#[test]
fn shared_calls_overlap_each_other_but_no_exclusive_one() {
    let instance = serial();
    during_call(&instance, Access::Shared, || {
        assert!(!is_busy(&instance, Access::Shared));
        assert!(is_busy(&instance, Access::Exclusive));
        assert_eq!(instance.seed(), Ok(0));
        assert_eq!(instance.set_seed(1), Err(Status::Busy));
        assert_eq!(instance.read(64, &mut [0]), Ok(()));
        assert_eq!(instance.write(64, &[0]), Err(Status::Busy));
        // A refused call leaves the gate as it was.
        assert!(!is_busy(&instance, Access::Shared));
    });
    assert!(!is_busy(&instance, Access::Exclusive));
}

#[test]
fn a_borrow_of_the_state_counts_as_a_call() {
    let instance = serial();
    let reader = instance.state().expect("idle");
    assert!(!is_busy(&instance, Access::Shared));
    assert!(is_busy(&instance, Access::Exclusive));
    drop(reader);
    let writer = instance.state_mut().expect("idle");
    assert!(is_busy(&instance, Access::Shared));
    assert!(instance.state().is_err());
    drop(writer);
    assert!(!is_busy(&instance, Access::Exclusive));
}

#[test]
fn steps_from_many_threads_are_counted_or_refused() {
    let instance = serial();
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    match run_add(&instance, 3) {
                        Ok(_) => done.fetch_add(1, Relaxed),
                        Err(failure) => {
                            assert_eq!(failure, Status::Busy.into());
                            0
                        }
                    };
                }
            });
        }
    });
    assert_eq!(instance.step(), Ok(done.load(Relaxed)));
    assert_eq!(run_add(&instance, 0), Ok(done.load(Relaxed) * 3));
}

/// Fills the scratch of every worker from `*args[0]`, in parallel, and checks that it stays.
unsafe extern "C" fn use_scratch(
    ctx: *mut Context,
    _: *mut u8,
    scratch: *mut u8,
    args: *const *mut u8,
) -> i32 {
    struct Frame {
        scratch: *mut u8,
        byte: u8,
        wrong: AtomicU32,
    }
    unsafe extern "C" fn task(frame: *const u8, begin: u64, end: u64, worker: u32) {
        // SAFETY: the frame below. Each worker has 64 bytes of its own after the 256 common ones.
        let (frame, part) = unsafe {
            let frame = &*frame.cast::<Frame>();
            (frame, std::slice::from_raw_parts_mut(frame.scratch.add(256 + 64 * worker as usize), 64))
        };
        for _ in begin..end {
            part.fill(frame.byte);
            for _ in 0..20 {
                std::hint::spin_loop();
            }
            if part.iter().any(|&byte| byte != frame.byte) {
                frame.wrong.fetch_add(1, Relaxed);
            }
        }
    }
    // SAFETY: called with one byte.
    let frame = Frame { scratch, byte: unsafe { **args }, wrong: AtomicU32::new(0) };
    // SAFETY: the context is that of the call, and `task` fits its frame.
    unsafe { run_kernel(ctx, task, (&raw const frame).cast(), 12) };
    if frame.wrong.into_inner() == 0 { Status::Ok.code() } else { Status::Unknown.code() }
}

/// What generated code does to run a kernel.
///
/// # Safety
/// `ctx` is the context of the call, and `task` fits `frame`.
unsafe fn run_kernel(ctx: *mut Context, task: bessemer_runtime::abi::TaskFn, frame: *const u8, chunks: u64) {
    // SAFETY: by this function's contract.
    unsafe {
        match (*ctx).parallel_for {
            Some(parallel_for) => parallel_for((*ctx).pool, task, frame, chunks),
            None => task(frame, 0, chunks, 0),
        }
    }
}

#[test]
fn overlapping_calls_have_scratch_of_their_own() {
    for instance in [serial(), on_threads(1), on_threads(2), on_threads(5)] {
        thread::scope(|scope| {
            for caller in 0..4u8 {
                let instance = &instance;
                scope.spawn(move || {
                    for round in 0..1_000u32 {
                        let mut byte = caller ^ round as u8;
                        // SAFETY: `use_scratch` wants one byte and leaves the state alone.
                        let result = unsafe { instance.run(use_scratch, &[&raw mut byte], Access::Shared) };
                        assert_eq!(result, Ok(()));
                    }
                });
            }
        });
    }
}

#[test]
fn instances_share_a_pool() {
    let pool = Pool::new(3).expect("threads");
    let instances: Vec<Instance> =
        (0..4).map(|_| Instance::new(layout(), pool.clone().into()).expect("memory")).collect();
    drop(pool);
    thread::scope(|scope| {
        for instance in &instances {
            scope.spawn(|| {
                for mut byte in (0..=255u8).cycle().take(2_000) {
                    // SAFETY: `use_scratch` wants one byte.
                    let result = unsafe { instance.run(use_scratch, &[&raw mut byte], Access::Exclusive) };
                    assert_eq!(result, Ok(()));
                }
            });
        }
    });
}

#[test]
fn threads_can_be_changed() {
    let mut instance = serial();
    assert_eq!(run_add(&instance, 1), Ok(1));
    for threads in [4, 1, 2] {
        instance.set_threads(Pool::new(threads).expect("threads").into()).expect("memory");
        assert_eq!(instance.threads().workers(), threads);
        let mut byte = 3;
        // SAFETY: `use_scratch` wants one byte.
        assert_eq!(unsafe { instance.run(use_scratch, &[&raw mut byte], Access::Shared) }, Ok(()));
    }
    assert_eq!(run_add(&instance, 1), Ok(2), "variables stay");
}

/// Writes the byte of the scratch block that `*args[0]` says.
unsafe extern "C" fn touch_scratch(
    _: *mut Context,
    _: *mut u8,
    scratch: *mut u8,
    args: *const *mut u8,
) -> i32 {
    // SAFETY: called with the offset of a byte that is inside.
    unsafe { *scratch.add(*(*args).cast::<usize>()) = 1 };
    Status::Ok.code()
}

#[test]
fn room_can_be_made_for_another_program() {
    let mut instance = Instance::guarded(layout(), Threads::serial()).expect("memory");
    assert_eq!(run_add(&instance, 3), Ok(3));
    let larger = ProgramLayout { scratch_bytes: 1 << 20, ..layout() };
    assert_eq!(instance.reserve(&larger), Ok(()));
    let mut last = (1usize << 20) + 63;
    // SAFETY: `touch_scratch` wants an offset.
    let touched = unsafe { instance.run(touch_scratch, &[(&raw mut last).cast()], Access::Shared) };
    assert_eq!(touched, Ok(()));
    assert_eq!(instance.reserve(&layout()), Ok(()));
    assert_eq!(*instance.layout(), larger, "room is never given back");
    assert_eq!(run_add(&instance, 1), Ok(4), "variables stay");

    let refused = |program, status| {
        let mut instance = serial();
        assert_eq!(instance.reserve(&program), Err(status));
        assert_eq!(*instance.layout(), layout());
    };
    refused(ProgramLayout { fingerprint: 1, ..layout() }, Status::ProgramMismatch);
    refused(ProgramLayout { state_bytes: 192, ..layout() }, Status::ProgramMismatch);
    refused(ProgramLayout { abi_version: ABI_VERSION + 1, ..layout() }, Status::AbiMismatch);
    refused(ProgramLayout { scratch_bytes: u64::MAX, ..layout() }, Status::OutOfMemory);
}

#[test]
fn a_caller_may_bring_a_pool() {
    unsafe extern "C" fn backwards(
        calls: *mut c_void,
        task: bessemer_runtime::abi::TaskFn,
        frame: *const u8,
        chunks: u64,
    ) {
        // SAFETY: `calls` is the counter below; the task may be run in any order.
        unsafe {
            (*calls.cast::<AtomicU32>()).fetch_add(1, Relaxed);
            for chunk in (0..chunks).rev() {
                task(frame, chunk, chunk + 1, 0);
            }
        }
    }
    let calls = AtomicU32::new(0);
    // SAFETY: `backwards` runs each chunk once, as worker 0, and `calls` outlives the instance.
    let threads = unsafe { Threads::custom(1, backwards, (&raw const calls).cast_mut().cast()) };
    let instance = Instance::new(layout(), threads).expect("memory");
    let mut byte = 9;
    // SAFETY: `use_scratch` wants one byte.
    assert_eq!(unsafe { instance.run(use_scratch, &[&raw mut byte], Access::Shared) }, Ok(()));
    assert_eq!(calls.load(Relaxed), 1);
}

/// A gather as the compiler writes it: of `*args[0]` chunks of one index each, those from `*args[1]` on, and
/// every third before it from 100 on, are bad at site 7; each bad one is bad at site 8 too.
unsafe extern "C" fn gather(ctx: *mut Context, _: *mut u8, _: *mut u8, args: *const *mut u8) -> i32 {
    struct Frame {
        ctx: *mut Context,
        bad_from: u64,
    }
    unsafe extern "C" fn task(frame: *const u8, begin: u64, end: u64, _: u32) {
        // SAFETY: the frame below.
        let frame = unsafe { &*frame.cast::<Frame>() };
        for position in begin..end {
            if position >= frame.bad_from || (position >= 100 && position.is_multiple_of(3)) {
                // SAFETY: the context of the call, read as generated code reads it.
                unsafe {
                    match (*frame.ctx).report_index_error {
                        Some(report) => {
                            report(frame.ctx, 8, position, 0);
                            report(frame.ctx, 7, position, -(position as i64));
                        }
                        None => (*frame.ctx).index_error.flag.store(IndexError::UNLOCATED, Relaxed),
                    }
                }
            }
        }
    }
    // SAFETY: called with two numbers; the context is that of the call.
    unsafe {
        let (chunks, bad_from) = (*(*args).cast::<u64>(), *(*args.add(1)).cast::<u64>());
        let frame = Frame { ctx, bad_from };
        run_kernel(ctx, task, (&raw const frame).cast(), chunks);
        match (*ctx).index_error.flag.load(Relaxed) {
            IndexError::CLEAR => Status::Ok.code(),
            _ => Status::IndexOutOfRange.code(),
        }
    }
}

#[test]
fn the_first_bad_index_is_the_one_reported() {
    for threads in [1, 2, 4, 8] {
        let instance = on_threads(threads);
        for round in 0..300 {
            let (mut chunks, mut bad_from) = (1000u64, if round % 2 == 0 { 57u64 } else { 900 });
            let args = [(&raw mut chunks).cast(), (&raw mut bad_from).cast()];
            // SAFETY: `gather` wants two numbers and leaves the state alone.
            let failure =
                unsafe { instance.run(gather, &args, Access::Shared) }.expect_err("indices are bad");
            let position = if round % 2 == 0 { 57 } else { 102 };
            let index = Some(BadIndex { site: 7, position, value: -(position as i64) });
            assert_eq!(failure, Failure { status: Status::IndexOutOfRange, index });
        }
        let (mut chunks, mut bad_from) = (100u64, 100u64);
        let args = [(&raw mut chunks).cast(), (&raw mut bad_from).cast()];
        // SAFETY: as above.
        let result = unsafe { instance.run(gather, &args, Access::Shared) };
        assert_eq!(result, Ok(()), "a call does not see the record of the one before");
    }
}

#[test]
fn without_a_hook_only_the_flag_is_set() {
    let mut ctx = Context::serial();
    let (mut chunks, mut bad_from) = (10u64, 5u64);
    let args: [*mut u8; 2] = [(&raw mut chunks).cast(), (&raw mut bad_from).cast()];
    // SAFETY: `gather` touches neither state nor scratch and wants two numbers.
    let code = unsafe { gather(&raw mut ctx, std::ptr::null_mut(), std::ptr::null_mut(), args.as_ptr()) };
    assert_eq!(Status::from_code(code), Status::IndexOutOfRange);
    assert_eq!(ctx.index_error.flag.into_inner(), IndexError::UNLOCATED);
}

#[test]
fn a_failure_reads_well() {
    let index = Some(BadIndex { site: 2, position: 31, value: 10 });
    let failure = Failure { status: Status::IndexOutOfRange, index };
    assert_eq!(failure.to_string(), "index out of range: 10 at position 31 of index site 2");
    assert_eq!(Failure::from(Status::Busy).to_string(), "another call on this instance overlaps this one");
}

/// Writes one byte at `*args[0]` after the start of the state or, if `*args[1]` is not 0, of the scratch.
unsafe extern "C" fn poke(_: *mut Context, state: *mut u8, scratch: *mut u8, args: *const *mut u8) -> i32 {
    // SAFETY: called with an offset and a choice. The write may well be out of bounds: that is the test.
    unsafe {
        let (offset, in_scratch) = (*(*args).cast::<u64>(), *(*args.add(1)).cast::<u64>());
        let base = if in_scratch == 0 { state } else { scratch };
        base.wrapping_add(offset as usize).write_volatile(1);
    }
    Status::Ok.code()
}

#[test]
fn a_guarded_instance_stops_code_that_leaves_its_memory() {
    let instance = Instance::guarded(layout(), Threads::serial()).expect("memory");
    let poke_at = |mut offset: u64, mut in_scratch: u64| {
        let args = [(&raw mut offset).cast(), (&raw mut in_scratch).cast()];
        // SAFETY: exclusive; a child that writes elsewhere is there to be killed.
        run_in_child(|| unsafe { instance.run(poke, &args, Access::Exclusive) }.is_ok())
    };
    assert_eq!(poke_at(127, 0), End::Said(true));
    assert_eq!(poke_at(128, 0), End::Signal(libc::SIGSEGV));
    assert_eq!(poke_at(256 + 63, 1), End::Said(true));
    assert_eq!(poke_at(256 + 64, 1), End::Signal(libc::SIGSEGV));
}

#[test]
fn an_instance_works_in_a_forked_child() {
    let instance = on_threads(3);
    let run = |mut byte: u8| {
        // SAFETY: `use_scratch` wants one byte.
        unsafe { instance.run(use_scratch, &[&raw mut byte], Access::Exclusive) }.is_ok()
    };
    assert!(run(1));
    assert_eq!(run_in_child(|| (0..100).all(run)), End::Said(true));
    assert!(run(2));
}
