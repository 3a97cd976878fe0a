//! The Bessemer compiler: from a dataflow graph to native code.

pub mod codegen;
pub mod diagnostic;
pub mod differentiate;
pub mod fuse;
pub mod graph;
pub mod kernel;
pub mod lower;
pub mod memory;
pub mod ops;
pub mod tensor;
pub mod text;
pub mod types;
