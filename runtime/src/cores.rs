//! How many cores this process may use: CPU affinity, and the CPU quota of its control groups.
//!
//! A container is often given two cores' worth of time on a machine with sixty-four. A pool of sixty-four
//! threads would then stand still for most of each period, so the quota counts like a smaller machine.

use crate::sys::{cpu, file};
use core::ffi::CStr;

/// Where control groups are mounted, on every distribution that uses systemd and in every container.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Number of cores that this process can keep busy at a time, at least 1.
///
/// The smaller of the number of CPUs in the calling thread's affinity mask and the tightest CPU quota (rounded
/// down) of the control groups that the process is in. Reads `/proc` and `/sys` each time it is called.
pub fn available_cores() -> u32 {
    let cores = cpu::affinity_count();
    let mut text = [0; 4096];
    let quota = file::read(c"/proc/self/cgroup", &mut text).and_then(|membership| {
        membership.split(|&byte| byte == b'\n').filter_map(|line| group_quota(CgroupLine::parse(line)?)).min()
    });
    quota.map_or(cores, |quota| cores.min(quota)).max(1)
}

/// One line of `/proc/self/cgroup`.
#[derive(Debug, PartialEq, Eq)]
struct CgroupLine<'a> {
    /// `""` in version 2; in version 1 the folder where the hierarchy with the `cpu` controller is mounted.
    mount: &'static str,
    /// Path of the group from there, with a leading slash.
    group: &'a [u8],
}

impl<'a> CgroupLine<'a> {
    /// Reads `0::GROUP` (version 2) or `N:cpu,cpuacct:GROUP` (version 1); `None` for other controllers.
    fn parse(line: &'a [u8]) -> Option<CgroupLine<'a>> {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (_number, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let mount = if controllers.is_empty() {
            ""
        } else if controllers.split(|&byte| byte == b',').any(|name| name == b"cpu") {
            "/cpu"
        } else {
            return None;
        };
        Some(CgroupLine { mount, group })
    }
}

/// The tightest quota, in whole cores, of a group and those around it; `None` if none is limited.
///
/// In a container the path may be one that only the host can see. The walk outwards ends at the root of the
/// mount, which is then the container's own group.
fn group_quota(line: CgroupLine<'_>) -> Option<u32> {
    let mut tightest: Option<u32> = None;
    let mut group = line.group;
    loop {
        let group_dir = group.strip_suffix(b"/").unwrap_or(group);
        if let Some(quota) = quota_of(line.mount, group_dir) {
            tightest = Some(tightest.map_or(quota, |other| other.min(quota)));
        }
        match group_dir.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => group = &group_dir[..slash],
            None => return tightest,
        }
    }
}

/// The quota, in whole cores, that one group's own files set.
fn quota_of(mount: &str, group: &[u8]) -> Option<u32> {
    let mut path = [0; 4096];
    let mut first = [0; 64];
    let mut second = [0; 64];
    let mut read = |name: &str, buffer| {
        let path =
            join(&mut path, &[CGROUP_ROOT.as_bytes(), mount.as_bytes(), group, b"/", name.as_bytes()])?;
        file::read(path, buffer)
    };
    if mount.is_empty() {
        cores_of_cpu_max(read("cpu.max", &mut first)?)
    } else {
        let quota = read("cpu.cfs_quota_us", &mut first)?;
        let period = read("cpu.cfs_period_us", &mut second)?;
        cores_of_quota(number(quota)?, number(period)?)
    }
}

/// The parts one after the other as a path; `None` if the buffer is too small or a part holds a NUL.
fn join<'a>(buffer: &'a mut [u8], parts: &[&[u8]]) -> Option<&'a CStr> {
    let mut len = 0;
    for part in parts.iter().chain(&[&b"\0"[..]]) {
        let end = len + part.len();
        buffer.get_mut(len..end)?.copy_from_slice(part);
        len = end;
    }
    CStr::from_bytes_with_nul(&buffer[..len]).ok()
}

/// Cores in the text of a `cpu.max`: `QUOTA PERIOD` in microseconds, or `max PERIOD` where nothing is limited.
fn cores_of_cpu_max(text: &[u8]) -> Option<u32> {
    let mut words = text.split(u8::is_ascii_whitespace);
    let (quota, period) = (words.next()?, words.next()?);
    cores_of_quota(number(quota)?, number(period)?)
}

/// Whole cores that `quota` in each `period` amounts to, at least 1.
fn cores_of_quota(quota: u64, period: u64) -> Option<u32> {
    Some(u32::try_from(quota.checked_div(period)?).ok()?.max(1))
}

/// The decimal number that the text consists of; `None` for anything else, such as `max` and `-1`.
fn number(text: &[u8]) -> Option<u64> {
    core::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_core() {
        assert!(available_cores() >= 1);
    }

    #[test]
    fn cpu_max() {
        assert_eq!(cores_of_cpu_max(b"max 100000\n"), None);
        assert_eq!(cores_of_cpu_max(b"200000 100000\n"), Some(2));
        assert_eq!(cores_of_cpu_max(b"250000 100000\n"), Some(2));
        assert_eq!(cores_of_cpu_max(b"50000 100000\n"), Some(1));
        assert_eq!(cores_of_cpu_max(b"50000 0\n"), None);
        assert_eq!(cores_of_cpu_max(b""), None);
        assert_eq!(cores_of_cpu_max(b"12x 100000\n"), None);
    }

    #[test]
    fn version_1_writes_minus_one_for_no_quota() {
        assert_eq!(number(b"-1\n"), None);
        assert_eq!(number(b"150000\n"), Some(150_000));
    }

    #[test]
    fn membership_lines() {
        let line = |text| CgroupLine::parse(text).map(|line| (line.mount, line.group));
        assert_eq!(line(b"0::/user.slice/job"), Some(("", &b"/user.slice/job"[..])));
        assert_eq!(line(b"4:cpu,cpuacct:/docker/1a"), Some(("/cpu", &b"/docker/1a"[..])));
        assert_eq!(line(b"5:cpuset:/docker/1a"), None);
        assert_eq!(line(b"1:name=systemd:/"), None);
        assert_eq!(line(b""), None);
    }

    #[test]
    fn paths_that_do_not_fit_are_refused() {
        let mut buffer = [0; 8];
        assert_eq!(join(&mut buffer, &[b"/a", b"/b"]), Some(c"/a/b"));
        assert_eq!(join(&mut buffer, &[b"/abc", b"/def"]), None);
        assert_eq!(join(&mut buffer, &[b"/a\0b"]), None);
    }
}
