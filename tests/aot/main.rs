//! Models as native libraries: compiled, linked, and called by programs in C.

mod border;
mod files;
mod support;
mod training;
