//! What this machine is, and how much processor time a process has used on it.

use anyhow::{Context as _, Result};
use std::path::Path;
use std::time::Duration;
use sysinfo::{CpuRefreshKind, DiskRefreshKind, Disks, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Processor time of a living process since its start, all threads, user and system; the system counts in ticks of 10 ms.
///
/// # Errors
/// The system does not tell, or there is no such process.
pub fn processor_time(process: u32) -> Result<Duration> {
    let id = Pid::from_u32(process);
    let mut system = System::new().context("the system does not tell about its processes")?;
    let what = ProcessRefreshKind::nothing().with_cpu().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[id]), true, what);
    let found = system.process(id).with_context(|| format!("there is no process {process} to ask for its processor time"))?;
    Ok(Duration::from_millis(found.accumulated_cpu_time()))
}

/// Resident memory of a living process, bytes.
///
/// # Errors
/// The system does not tell, or there is no such process.
pub fn resident(process: u32) -> Result<u64> {
    let id = Pid::from_u32(process);
    let mut system = System::new().context("the system does not tell about its processes")?;
    let what = ProcessRefreshKind::nothing().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[id]), true, what);
    let found = system.process(id).with_context(|| format!("there is no process {process} to ask for its memory"))?;
    Ok(found.memory())
}

/// Memory of this machine, bytes; 0 where the system does not say.
pub fn memory() -> u64 {
    System::new().map_or(0, |mut system| {
        system.refresh_memory();
        system.total_memory()
    })
}

/// The processor's name.
pub fn processor() -> String {
    let name = System::new().ok().and_then(|mut system| {
        system.refresh_cpu_list(CpuRefreshKind::nothing());
        system.cpus().first().map(|cpu| cpu.brand().trim().to_owned())
    });
    name.unwrap_or_else(|| "an unknown processor".to_owned())
}

/// All that evidence says of a machine.
pub fn description() -> serde_json::Value {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    serde_json::json!({ "processor": processor(), "cores": cores, "system": system() })
}

/// Operating system and kernel.
pub fn system() -> String {
    let kernel = System::kernel_version().unwrap_or_else(|_| "unknown".to_owned());
    format!("{} {kernel}", std::env::consts::OS)
}

/// The file system that a path lies on.
pub fn file_system(path: &Path) -> String {
    let found = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing()).ok().and_then(|disks| {
        let over = disks.iter().filter(|disk| path.starts_with(disk.mount_point()));
        let nearest = over.max_by_key(|disk| disk.mount_point().as_os_str().len())?;
        Some(nearest.file_system().to_string_lossy().into_owned())
    });
    found.unwrap_or_else(|| "an unknown file system".to_owned())
}

/// Processes that ran or wanted to, on average over the last minute: what else was going on here. `None` where the system does not say.
pub fn load() -> Option<f64> {
    System::load_average().ok().map(|load| load.one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_time_of_a_process_grows_with_its_work() {
        let before = processor_time(std::process::id()).unwrap();
        let begin = Instant::now();
        let mut after = before;
        while after < before + Duration::from_millis(50) {
            assert!(begin.elapsed() < Duration::from_secs(60), "a minute of work and only {after:?} counted");
            after = processor_time(std::process::id()).unwrap();
        }
        assert!(after - before <= begin.elapsed() * u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap() * 2);
    }

    #[test]
    fn a_process_that_does_not_exist_has_no_time() {
        assert!(processor_time(u32::MAX / 2).is_err());
    }
}
