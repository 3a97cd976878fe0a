//! Why a call failed.

use crate::abi::{Context, IndexError, Status};
use core::fmt;
use core::sync::atomic::Ordering::Acquire;

/// Why a call of an entry point failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the entry point returned, or why it was not called. Never [`Status::Ok`].
    pub status: Status,
    /// Which index was out of range; only with [`Status::IndexOutOfRange`].
    pub index: Option<BadIndex>,
}

/// An index that was out of range: of all in the call, the one with the smallest site and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIndex {
    /// Which indexing operation of the program: the compiler numbers them in program order.
    pub site: u32,
    /// Which element of the index tensor, counted in row-major order.
    pub position: u64,
    /// The index found there.
    pub value: i64,
}

impl Failure {
    /// The failure that an entry point reported by returning `status`, with what it left in `ctx`.
    pub(super) fn from_call(status: Status, ctx: &Context) -> Failure {
        let record = &ctx.index_error;
        let is_recorded =
            status == Status::IndexOutOfRange && record.flag.load(Acquire) == IndexError::RECORDED;
        let index = is_recorded.then_some(BadIndex {
            site: record.site,
            position: record.position,
            value: record.value,
        });
        Failure { status, index }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        Failure { status, index: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            None => self.status.fmt(f),
            Some(BadIndex { site, position, value }) => {
                write!(f, "{}: {value} at position {position} of index site {site}", self.status)
            }
        }
    }
}

impl core::error::Error for Failure {}
