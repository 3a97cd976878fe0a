//! Who may use an instance at a moment.

use crate::abi::Status;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// How a call uses the state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It reads variables: any number of such calls may overlap.
    Shared,
    /// It assigns variables: nothing may overlap it.
    Exclusive,
}

/// The rule of [`Access`], as a lock that never waits.
pub(crate) struct Gate {
    /// Number of shared users, or [`EXCLUSIVE`].
    users: AtomicU32,
}

/// Value of [`Gate::users`] while the instance is used exclusively.
const EXCLUSIVE: u32 = u32::MAX;

impl Gate {
    /// A gate that nobody has passed.
    pub(crate) const fn new() -> Gate {
        Gate { users: AtomicU32::new(0) }
    }

    /// Passes the gate until the pass is dropped.
    ///
    /// # Errors
    /// [`Status::Busy`] if the instance is used in a way that `access` does not go with.
    pub(crate) fn pass(&self, access: Access) -> Result<Pass<'_>, Status> {
        let passed = match access {
            Access::Exclusive => self.users.compare_exchange(0, EXCLUSIVE, Acquire, Relaxed),
            Access::Shared => self
                .users
                .try_update(Acquire, Relaxed, |users| users.checked_add(1).filter(|&n| n < EXCLUSIVE)),
        };
        match passed {
            Ok(_) => Ok(Pass { gate: self, access }),
            Err(_) => Err(Status::Busy),
        }
    }
}

/// Shows that its holder has passed a gate.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    access: Access,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        match self.access {
            Access::Exclusive => self.gate.users.store(0, Release),
            Access::Shared => {
                self.gate.users.fetch_sub(1, Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_passes_overlap_and_exclusive_ones_do_not() {
        let gate = Gate::new();
        let busy = |access| gate.pass(access).err() == Some(Status::Busy);
        {
            let _first = gate.pass(Access::Shared);
            assert!(!busy(Access::Shared));
            assert!(busy(Access::Exclusive));
        }
        {
            let _only = gate.pass(Access::Exclusive);
            assert!(busy(Access::Shared));
            assert!(busy(Access::Exclusive));
        }
        assert!(!busy(Access::Exclusive));
        assert!(!busy(Access::Shared));
    }

    #[test]
    fn the_number_of_users_never_reads_as_exclusive() {
        let gate = Gate { users: AtomicU32::new(EXCLUSIVE - 1) };
        assert_eq!(gate.pass(Access::Shared).err(), Some(Status::Busy));
    }
}
