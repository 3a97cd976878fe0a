//! Models as native libraries: compiled, linked, and called by programs in C.

mod border;
mod cross;
mod docs;
mod files;
mod hardship;
mod layouts;
mod support;
mod training;
