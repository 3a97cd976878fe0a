//! What this crate uses of the C library, declared by hand.
//!
//! The crate is also compiled by itself, by one call of rustc, into the library that artefacts are linked with (see
//! `runtime/artefact/`). So it has no dependencies. Names and meaning are those of POSIX and Linux. The figures hold for
//! glibc and musl on x86-64, aarch64 and riscv64.

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};

pub(super) type Pid = c_int;
pub(super) type Pthread = usize;

/// A `struct timespec` of a 64-bit system.
#[repr(C)]
pub(super) struct Timespec {
    pub(super) seconds: i64,
    pub(super) nanoseconds: c_long,
}

/// A `sigset_t`: 1024 bits in both libraries.
#[repr(C)]
pub(super) struct SigSet([u64; 16]);

pub(super) const CLOCK_MONOTONIC: c_int = 1;
pub(super) const FUTEX_WAIT: c_int = 0;
pub(super) const FUTEX_WAKE: c_int = 1;
pub(super) const FUTEX_PRIVATE_FLAG: c_int = 128;
pub(super) const MADV_HUGEPAGE: c_int = 14;
pub(super) const MADV_WIPEONFORK: c_int = 18;
pub(super) const MAP_FAILED: *mut c_void = usize::MAX as *mut c_void;
pub(super) const MAP_PRIVATE: c_int = 0x02;
pub(super) const MAP_ANONYMOUS: c_int = 0x20;
pub(super) const O_RDONLY: c_int = 0;
pub(super) const O_WRONLY: c_int = 1;
pub(super) const O_CREAT: c_int = 0o100;
pub(super) const O_EXCL: c_int = 0o200;
pub(super) const O_NONBLOCK: c_int = 0o4000;
pub(super) const O_CLOEXEC: c_int = 0o2_000_000;
pub(super) const PROT_NONE: c_int = 0;
pub(super) const PROT_READ: c_int = 1;
pub(super) const PROT_WRITE: c_int = 2;
pub(super) const SEEK_SET: c_int = 0;
pub(super) const SEEK_END: c_int = 2;
pub(super) const SIG_SETMASK: c_int = 2;
pub(super) const _SC_PAGESIZE: c_int = 30;
pub(super) const _SC_NPROCESSORS_ONLN: c_int = 84;
#[cfg(target_arch = "x86_64")]
pub(super) const SYS_FUTEX: c_long = 202;
#[cfg(not(target_arch = "x86_64"))]
pub(super) const SYS_FUTEX: c_long = 98;

pub(super) const EINTR: c_int = 4;
pub(super) const EEXIST: c_int = 17;
pub(super) const EINVAL: c_int = 22;

unsafe extern "C" {
    pub(super) fn __errno_location() -> *mut c_int;
    /// The variant of POSIX: 0 if the text is in the buffer, ended by a NUL.
    pub(super) fn __xpg_strerror_r(error: c_int, buffer: *mut c_char, size: usize) -> c_int;
    pub(super) fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    pub(super) fn close(file: c_int) -> c_int;
    pub(super) fn fsync(file: c_int) -> c_int;
    pub(super) fn getpid() -> Pid;
    pub(super) fn lseek(file: c_int, offset: i64, from: c_int) -> i64;
    pub(super) fn madvise(start: *mut c_void, size: usize, advice: c_int) -> c_int;
    pub(super) fn mmap(
        start: *mut c_void,
        size: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    pub(super) fn mprotect(start: *mut c_void, size: usize, protection: c_int) -> c_int;
    pub(super) fn munmap(start: *mut c_void, size: usize) -> c_int;
    pub(super) fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    pub(super) fn pthread_create(
        thread: *mut Pthread,
        attributes: *const c_void,
        main: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
    pub(super) fn pthread_join(thread: Pthread, result: *mut *mut c_void) -> c_int;
    pub(super) fn pthread_self() -> Pthread;
    pub(super) fn pthread_setname_np(thread: Pthread, name: *const c_char) -> c_int;
    pub(super) fn pthread_sigmask(how: c_int, set: *const SigSet, before: *mut SigSet) -> c_int;
    pub(super) fn read(file: c_int, buffer: *mut c_void, size: usize) -> isize;
    pub(super) fn rename(from: *const c_char, to: *const c_char) -> c_int;
    pub(super) fn sched_getaffinity(pid: Pid, size: usize, set: *mut c_void) -> c_int;
    pub(super) fn sched_getcpu() -> c_int;
    pub(super) fn sched_setaffinity(pid: Pid, size: usize, set: *const c_void) -> c_int;
    pub(super) fn sched_yield() -> c_int;
    pub(super) fn sigfillset(set: *mut SigSet) -> c_int;
    pub(super) fn syscall(number: c_long, ...) -> c_long;
    pub(super) fn sysconf(name: c_int) -> c_long;
    pub(super) fn unlink(path: *const c_char) -> c_int;
    pub(super) fn write(file: c_int, bytes: *const c_void, size: usize) -> isize;
}

/// Permissions of a new file before the process's mask: those that `fopen` gives.
pub(super) const NEW_FILE_MODE: c_uint = 0o666;
