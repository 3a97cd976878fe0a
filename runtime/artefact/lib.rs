//! The library that artefacts are linked with: the functions of [`bessemer_runtime::library`] under names for C.
//!
//! It is no member of the workspace. `build.rs` of the façade compiles it, with the runtime, by calling rustc, to one
//! object file for the host; see there for how to make one for another system. It owns the panic handler, which is why
//! nothing that has one may be linked with it as Rust.
//!
//! The names begin with `bessemer` and the ABI version, so that artefacts of different versions can be linked into one
//! program. The code that the compiler emits for each model calls them (`compiler/src/artefact/interface.rs`).
#![no_std]

use bessemer_runtime::abi::Artefact;
use bessemer_runtime::library::{self, EntryInfo, Handle, TensorInfo};
use core::ffi::c_char;
use core::panic::PanicInfo;

unsafe extern "C" {
    fn abort() -> !;
}

/// A panic is a bug of the runtime.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: always callable.
    unsafe { abort() }
}

/// Functions by the name that C sees, with that of the library's function.
macro_rules! exported {
    ($($symbol:ident = $name:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)?;)*) => {
        $(
            /// See the function of the library.
            ///
            /// # Safety
            /// As the function of the library demands. The artefact is valid.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $symbol(artefact: &Artefact $(, $arg: $ty)*) $(-> $result)? {
                #[allow(unused_unsafe, reason = "some are safe")]
                // SAFETY: by this function's contract.
                unsafe { library::$name(artefact $(, $arg)*) }
            }
        )*
    };
}

exported! {
    bessemer1_create = create(out: *mut *mut Handle) -> i32;
    bessemer1_destroy = destroy(handle: *mut Handle);
    bessemer1_init = init(handle: *mut Handle, seed: u64) -> i32;
    bessemer1_call = call(handle: *mut Handle, entry: u32, n: u64, args: *const *mut u8) -> i32;
    bessemer1_get_variable = get_variable(handle: *const Handle, name: *const c_char, out: *mut u8, count: usize) -> i32;
    bessemer1_set_variable = set_variable(handle: *mut Handle, name: *const c_char, values: *const u8, count: usize) -> i32;
    bessemer1_get_parameters = get_parameters(handle: *const Handle, out: *mut u8, bytes: usize) -> i32;
    bessemer1_set_parameters = set_parameters(handle: *mut Handle, values: *const u8, bytes: usize) -> i32;
    bessemer1_save = save(handle: *const Handle, path: *const c_char) -> i32;
    bessemer1_load = load(handle: *mut Handle, path: *const c_char) -> i32;
    bessemer1_set_learning_rate = set_learning_rate(handle: *mut Handle, rate: f64) -> i32;
    bessemer1_get_learning_rate = learning_rate(handle: *const Handle, out: *mut f64) -> i32;
    bessemer1_set_constant = set_constant(handle: *mut Handle, name: *const c_char, value: f64) -> i32;
    bessemer1_get_constant = constant(handle: *const Handle, name: *const c_char, out: *mut f64) -> i32;
    bessemer1_get_step = step(handle: *const Handle, out: *mut u64) -> i32;
    bessemer1_set_step = set_step(handle: *mut Handle, step: u64) -> i32;
    bessemer1_get_seed = seed(handle: *const Handle, out: *mut u64) -> i32;
    bessemer1_set_num_threads = set_threads(handle: *mut Handle, count: u32) -> i32;
    bessemer1_num_threads = thread_count(handle: *const Handle) -> u32;
    bessemer1_last_error = last_error() -> *const c_char;
    bessemer1_check_header = check_header(abi_version: u32, interface: u64) -> i32;
    bessemer1_num_variables = variable_count() -> usize;
    bessemer1_describe_variable = variable(at: usize, out: *mut TensorInfo) -> i32;
    bessemer1_num_entries = entry_count() -> usize;
    bessemer1_describe_entry = entry(at: usize, out: *mut EntryInfo) -> i32;
    bessemer1_describe_argument = argument(entry: usize, at: usize, out: *mut TensorInfo) -> i32;
    bessemer1_batch_size = batch_size(entry: usize, at: usize) -> usize;
    bessemer1_num_parameters = parameter_count() -> u64;
    bessemer1_state_bytes = state_bytes() -> usize;
    bessemer1_scratch_bytes = scratch_bytes(handle: *const Handle) -> usize;
    bessemer1_status_text = status_text(status: i32) -> *const c_char;
}
