//! Bessemer.
