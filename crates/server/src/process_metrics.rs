//! `process_*`: what the operating system knows about this process, read at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Reads the numbers at each scrape; those that the system does not tell are left out.
#[derive(Debug)]
pub(crate) struct ProcessCollector {
    /// When the process started, in seconds since 1970.
    pub(crate) started_s: f64,
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "seconds and nanoseconds of CPU time fit well")]
        let seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        metric(&mut encoder, "process_cpu_seconds", "CPU time used", &ConstCounter::new(seconds))?;
        metric(
            &mut encoder,
            "process_start_time_seconds",
            "When the process started",
            &ConstGauge::new(self.started_s),
        )?;
        if let Some((resident, virtual_size)) = memory_bytes() {
            metric(
                &mut encoder,
                "process_resident_memory_bytes",
                "Resident memory",
                &ConstGauge::new(resident),
            )?;
            metric(
                &mut encoder,
                "process_virtual_memory_bytes",
                "Virtual memory",
                &ConstGauge::new(virtual_size),
            )?;
        }
        if let Some(open) = open_files() {
            metric(&mut encoder, "process_open_fds", "Open files", &ConstGauge::new(open))?;
        }
        if let Some(limit) = getrlimit(Resource::Nofile).current.and_then(|limit| i64::try_from(limit).ok()) {
            metric(&mut encoder, "process_max_fds", "Files that may be open", &ConstGauge::new(limit))?;
        }
        Ok(())
    }
}

fn metric(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: &impl EncodeMetric,
) -> fmt::Result {
    value.encode(encoder.encode_descriptor(name, help, None, value.metric_type())?)
}

/// Resident and virtual size, from the process's own status page.
fn memory_bytes() -> Option<(i64, i64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()?.checked_mul(1024)
    };
    Some((kibibytes("VmRSS:")?, kibibytes("VmSize:")?))
}

fn open_files() -> Option<i64> {
    // The directory's own handle is one of them.
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1)).ok()
}
