//! Processor time of a process: what it costs, however busy the machine is.

use std::time::Duration;

/// User and system time that a process has taken so far, all its threads together.
///
/// Fields 14 and 15 of `/proc/PID/stat` (proc(5)), in hundredths of a second; counted after
/// the program's name, which may hold spaces.
pub fn spent(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2);
    Duration::from_millis(10 * ticks.map(|t| t.parse::<u64>().unwrap()).sum::<u64>())
}
