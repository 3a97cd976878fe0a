//! Bessemer turns a neural network and its training step into native code.
//!
//! A [`Module`](graph::Module) is built with [`Builder`](graph::Builder) or read from text with [`load`]. A
//! [`Session`] compiles it in this process and holds its variables.
//!
//! | module | holds |
//! |---|---|
//! | [`prelude`] | what a program that builds, trains and predicts needs |
//! | [`artefact`] | a model as a native library: object files, header, shared library |
//! | [`compile`] | the way from a module to code, for tools that look at it |
//! | [`compiler`], [`runtime`], [`train`] | the crates underneath |

#![deny(unsafe_code)]

pub mod artefact;
pub mod compile;
mod error;
mod feed;
mod load;
mod memory;
pub mod prelude;
mod session;

pub use bessemer_compiler as compiler;
pub use bessemer_compiler::{diagnostic, graph, initializers, nn, optimizers, tensor, types};
pub use bessemer_runtime as runtime;
pub use bessemer_runtime::abi::Status;
pub use bessemer_train as train;
pub use error::{Error, IndexOutOfRange};
pub use feed::Feed;
pub use load::load;
pub use memory::room;
pub use session::{Entry, Outputs, Session, SessionBuilder};

/// The programs of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
