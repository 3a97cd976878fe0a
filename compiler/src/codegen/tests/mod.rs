//! What is emitted computes what Kernel IR says, bit for bit, under every schedule.

mod folds;
mod instructions;
mod random;
mod ranges;
mod refused;
mod tiles;
mod views;
