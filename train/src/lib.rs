//! Bessemer train.
