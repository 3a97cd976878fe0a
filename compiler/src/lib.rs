//! The Bessemer compiler: from a dataflow graph to native code.

#![deny(unsafe_code)]

pub mod artefact;
pub mod backend;
pub mod call;
pub mod codegen;
pub mod diagnostic;
pub mod differentiate;
pub mod fuse;
pub mod graph;
pub mod initializers;
pub mod jit;
pub mod kernel;
pub mod listing;
pub mod lower;
pub mod memory;
pub mod nn;
pub mod ops;
pub mod optimizers;
pub mod passes;
pub mod philox;
pub mod pipeline;
pub mod program;
pub mod schedule;
pub mod tensor;
pub mod text;
pub mod train;
pub mod types;
