//! Modules of one function.

use bessemer_compiler::graph::{Builder, Graph, Module};

/// A module with one function, `f`.
pub fn module(build: impl FnOnce(&Graph)) -> Module {
    let builder = Builder::new("bench");
    builder.function("f", build);
    builder.finish().unwrap_or_else(|e| panic!("{e}"))
}
