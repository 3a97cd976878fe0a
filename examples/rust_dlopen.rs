//! Trains with a library that is loaded at run time, from a Rust program that does not know the compiler.
//!
//! ```sh
//! bessemer compile examples/models/mnist_softmax.bsm -o build/mnist --batch 1,16
//! rustc --edition 2024 -O examples/rust_dlopen.rs -o build/rust_dlopen
//! build/rust_dlopen build/mnist.so
//! ```

use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::transmute_copy;
use std::ptr;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

const RTLD_NOW: c_int = 2;

/// What the library exports, with the types that its header gives.
struct Library {
    create: unsafe extern "C" fn(*mut *mut c_void) -> i32,
    destroy: unsafe extern "C" fn(*mut c_void),
    init: unsafe extern "C" fn(*mut c_void, u64) -> i32,
    last_error: unsafe extern "C" fn() -> *const c_char,
    predict: unsafe extern "C" fn(*mut c_void, usize, *const f32, *mut f32) -> i32,
    train_step: unsafe extern "C" fn(*mut c_void, usize, *const f32, *const i32, *mut f32) -> i32,
}

impl Library {
    /// Loads it for the rest of the process's life.
    fn load(path: &str) -> Result<Library, Box<dyn Error>> {
        let path = CString::new(path)?;
        // SAFETY: the path ends with a NUL.
        let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
        if library.is_null() {
            // SAFETY: `dlopen` failed, so there is a text.
            return Err(unsafe { CStr::from_ptr(dlerror()) }.to_str()?.into());
        }
        let symbol = |name: &CStr| -> Result<*mut c_void, Box<dyn Error>> {
            // SAFETY: the library is loaded and the name ends with a NUL.
            let address = unsafe { dlsym(library, name.as_ptr()) };
            if address.is_null() { Err(format!("there is no function {name:?}").into()) } else { Ok(address) }
        };
        // SAFETY: the functions have these types, as the header says.
        unsafe {
            Ok(Library {
                create: transmute_copy(&symbol(c"mnist_create")?),
                destroy: transmute_copy(&symbol(c"mnist_destroy")?),
                init: transmute_copy(&symbol(c"mnist_init")?),
                last_error: transmute_copy(&symbol(c"mnist_last_error")?),
                predict: transmute_copy(&symbol(c"mnist_predict")?),
                train_step: transmute_copy(&symbol(c"mnist_train_step")?),
            })
        }
    }

    /// The error of a status, where it is one.
    fn check(&self, status: i32) -> Result<(), Box<dyn Error>> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the text lives until the next failure on this thread.
        Err(unsafe { CStr::from_ptr((self.last_error)()) }.to_str()?.into())
    }
}

/// An instance. Unlike the C functions it cannot be called with too few numbers.
struct Model<'a> {
    library: &'a Library,
    handle: *mut c_void,
}

impl Model<'_> {
    fn new(library: &Library) -> Result<Model<'_>, Box<dyn Error>> {
        let mut handle = ptr::null_mut();
        // SAFETY: `handle` is good for a write.
        library.check(unsafe { (library.create)(&raw mut handle) })?;
        Ok(Model { library, handle })
    }

    fn init(&mut self, seed: u64) -> Result<(), Box<dyn Error>> {
        // SAFETY: the handle is the library's.
        self.library.check(unsafe { (self.library.init)(self.handle, seed) })
    }

    fn train_step(&mut self, x: &[[f32; 784]], y: &[i32]) -> Result<f32, Box<dyn Error>> {
        assert_eq!(x.len(), y.len());
        let mut loss = 0.0;
        // SAFETY: the arguments have the sizes that the header says for this batch size.
        let status = unsafe {
            (self.library.train_step)(self.handle, x.len(), x.as_ptr().cast(), y.as_ptr(), &raw mut loss)
        };
        self.library.check(status).map(|()| loss)
    }

    fn predict(&self, image: &[f32; 784]) -> Result<[f32; 10], Box<dyn Error>> {
        let mut probabilities = [0.0; 10];
        // SAFETY: as above, for batch size 1.
        let status =
            unsafe { (self.library.predict)(self.handle, 1, image.as_ptr(), probabilities.as_mut_ptr()) };
        self.library.check(status).map(|()| probabilities)
    }
}

impl Drop for Model<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is the library's and is not used after this.
        unsafe { (self.library.destroy)(self.handle) };
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "build/mnist.so".into());
    let library = Library::load(&path)?;
    let mut model = Model::new(&library)?;
    model.init(1)?;
    let mut y: Vec<i32> = (0..16).map(|i| i % 10).collect();
    // Image i has every tenth pixel set, from its label on.
    let image = |label: i32| std::array::from_fn(|p| if p as i32 % 10 == label { 1.0 } else { 0.0 });
    let x: Vec<[f32; 784]> = y.iter().map(|&label| image(label)).collect();
    let mut loss = 0.0;
    for _ in 0..50 {
        loss = model.train_step(&x, &y)?;
    }
    let probabilities = model.predict(&x[7])?;
    let best = (0..10).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    println!("loss {loss:.4}; image 7 is a {}", best.unwrap_or(0));
    y[0] = 10;
    if let Err(error) = model.train_step(&x, &y) {
        println!("{error}");
    }
    Ok(())
}
