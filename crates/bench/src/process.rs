//! What a process costs, as proc(5) tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Ticks of `/proc/PID/stat` in a second: USER_HZ, which is 100 on every Linux of ours.
const TICKS: u64 = 100;
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(50);

/// CPU time used so far, in milliseconds, user and system.
pub(crate) fn cpu_ms(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; utime and stime are the 12th and 13th after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks * 1_000 / TICKS)
}

/// Anonymous resident memory in bytes: what the page cache could not give back.
pub(crate) fn anonymous_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// Looks at a process's memory again and again until dropped.
pub(crate) struct Watch {
    most: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(pid: u32) -> Self {
        let most = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&most);
        let task = tokio::spawn(async move {
            loop {
                seen.fetch_max(anonymous_bytes(pid).unwrap_or(0), Ordering::Relaxed);
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { most, task }
    }

    /// The most that was seen, in bytes.
    pub(crate) fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::{anonymous_bytes, cpu_ms};

    #[test]
    fn this_process_costs_something() {
        let own = std::process::id();
        let before = cpu_ms(own).unwrap();
        let mut sum = 0_u64;
        while cpu_ms(own).unwrap() < before + 50 {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        std::hint::black_box(sum);
        let memory = anonymous_bytes(own).unwrap();
        assert!((100_000..16 << 30).contains(&memory), "{memory}");
        assert_eq!((cpu_ms(u32::MAX), anonymous_bytes(u32::MAX)), (None, None));
    }
}
