//! Bessemer runtime.
#![no_std]
