//! The Bessemer compiler: from a dataflow graph to native code.

pub mod codegen;
pub mod diagnostic;
pub mod kernel;
pub mod tensor;
pub mod text;
pub mod types;
