//! Bessemer compiler.
