//! What a program that builds, trains and predicts needs: `use bessemer::prelude::*;`.

pub use bessemer_compiler::diagnostic::{Diagnostic, Diagnostics};
pub use bessemer_compiler::graph::{Argument, Builder, Call, Expr, Function, Graph, Module, Train, Variable};
pub use bessemer_compiler::pipeline::OptLevel;
pub use bessemer_compiler::tensor::{Scalar, Tensor};
pub use bessemer_compiler::types::{DType, Extent, Shape, TensorType};
pub use bessemer_compiler::{initializers, nn, optimizers};
pub use bessemer_runtime::abi::Status;
pub use bessemer_train::{Batch, Batches, Dataset, DatasetError, Mnist};

pub use crate::{Entry, Feed, IndexOutOfRange, Outputs, Session, SessionBuilder, load};
