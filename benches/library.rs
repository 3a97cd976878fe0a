//! Training steps in a library beside the same in this process: `cargo bench --bench library [FILTER]`.
//!
//! `bessemer compile` makes the library, which is loaded as a program in C would. A step of either kind is forward, backward and
//! update on one thread; they take turns, and figures are medians. The library keeps the learning rate in a variable. *Load* is
//! what it takes to load the library and make an instance, without first values.

#[path = "common/call.rs"]
mod call;
#[path = "common/program.rs"]
mod program;

use std::ffi::{CString, c_char, c_int, c_void};
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bessemer_compiler::pipeline::{OptLevel, Options};
use call::{Call, times};

const ROUNDS: usize = 21;
const BATCH: usize = 100;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlclose(library: *mut c_void) -> c_int;
}

const RTLD_NOW: c_int = 2;

type Create = unsafe extern "C" fn(*mut *mut c_void) -> i32;
type Destroy = unsafe extern "C" fn(*mut c_void);
type Init = unsafe extern "C" fn(*mut c_void, u64) -> i32;
type SetThreads = unsafe extern "C" fn(*mut c_void, u32) -> i32;
type Step = unsafe extern "C" fn(*mut c_void, usize, *const f32, *const i32, *mut f32) -> i32;

/// A library that is loaded, with an instance.
struct Library {
    library: *mut c_void,
    instance: *mut c_void,
}

impl Library {
    fn load(path: &Path) -> Library {
        let path = CString::new(path.to_str().expect("a path in UTF-8")).expect("no NUL");
        // SAFETY: the path ends with a NUL.
        let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
        assert!(!library.is_null(), "{path:?} cannot be loaded");
        let mut instance = std::ptr::null_mut();
        let create = find(library, "create");
        // SAFETY: the header declares it so.
        let status = unsafe { std::mem::transmute::<*mut c_void, Create>(create)(&raw mut instance) };
        assert_eq!(status, 0);
        Library { library, instance }
    }

    /// The step, on one thread, with first values.
    fn step(&self) -> Step {
        let [init, threads, step] =
            ["init", "set_num_threads", "train_step"].map(|name| find(self.library, name));
        // SAFETY: the header declares them so.
        unsafe {
            assert_eq!(std::mem::transmute::<*mut c_void, Init>(init)(self.instance, 1), 0);
            assert_eq!(std::mem::transmute::<*mut c_void, SetThreads>(threads)(self.instance, 1), 0);
            std::mem::transmute::<*mut c_void, Step>(step)
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let destroy = find(self.library, "destroy");
        // SAFETY: the instance came from this library, and nothing of either is used afterwards.
        unsafe {
            std::mem::transmute::<*mut c_void, Destroy>(destroy)(self.instance);
            dlclose(self.library);
        }
    }
}

/// The function `m_NAME`.
fn find(library: *mut c_void, name: &str) -> *mut c_void {
    let symbol = CString::new(format!("m_{name}")).expect("no NUL");
    // SAFETY: the library is loaded, and the name ends with a NUL.
    let found = unsafe { dlsym(library, symbol.as_ptr()) };
    assert!(!found.is_null(), "there is no {symbol:?}");
    found
}

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    println!(
        "{:18} {:>9} {:>12} {:>12} {:>8} {:>10}",
        "network, batch 100", "MFLOP", "here, µs", "library, µs", "ratio", "load, µs"
    );
    for name in ["mnist_softmax", "mnist_mlp", "mnist_mlp_large"].into_iter().filter(|n| n.contains(&filter))
    {
        let model =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models").join(name).with_extension("bsm");
        let library = folder.join(name);
        let made = Command::new(env!("CARGO_BIN_EXE_bessemer"))
            .args([
                "compile",
                "--quiet",
                "--name",
                "m",
                "--weights",
                "external",
                "--emit",
                "so",
                "--batch",
                &BATCH.to_string(),
            ])
            .arg("-o")
            .args([&library, &model])
            .status();
        assert!(made.is_ok_and(|status| status.success()), "{name} cannot be compiled");
        let library = library.with_extension("so");

        let module = bessemer::load(&model).unwrap_or_else(|e| panic!("{e}"));
        let options = Options::new(OptLevel::O3).verify_each(false);
        let mut here = Call::new(&module, "train_step", BATCH, &options, 1);
        let flops = here.entry().flops;
        let x = here.params[0].array::<f32>().iter().copied().collect::<Vec<_>>();
        let y = here.params[1].array::<i32>().iter().copied().collect::<Vec<_>>();
        let loaded = Library::load(&library);
        let step = loaded.step();
        let mut there = || {
            let mut loss = 0.0;
            // SAFETY: as many elements as the header says.
            let status = unsafe { step(loaded.instance, BATCH, x.as_ptr(), y.as_ptr(), &raw mut loss) };
            assert_eq!(status, 0);
            black_box(loss);
        };
        let steps: [&mut dyn FnMut(); 2] = [&mut || here.run(), &mut there];
        let [here_time, there_time] = times(ROUNDS, Duration::from_millis(10), steps).map(|t| t[ROUNDS / 2]);
        drop(loaded);
        let load: [&mut dyn FnMut(); 1] = [&mut || drop(black_box(Library::load(&library)))];
        let [load] = times(ROUNDS, Duration::from_millis(5), load).map(|t| t[ROUNDS / 2]);
        println!(
            "{name:18} {:>9.1} {:>12.1} {:>12.1} {:>8.3} {:>10.1}",
            flops as f64 / 1e6,
            here_time * 1e6,
            there_time * 1e6,
            there_time / here_time,
            load * 1e6
        );
    }
}
