//! What this process takes, where the system tells: on Linux.

use std::fs::{read_to_string, write};

use crate::Result;

/// Bytes held, after handing what is free back to the system; 0 where the system does not tell.
pub fn resident() -> Result<u64> {
    // SAFETY: malloc_trim may be called at any time.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
    Ok(status("VmRSS:")?.unwrap_or(0))
}

/// The most bytes held since `reset_peak`.
pub fn peak() -> Result<Option<u64>> {
    status("VmHWM:")
}

pub fn reset_peak() -> Result<()> {
    if cfg!(target_os = "linux") {
        write("/proc/self/clear_refs", "5")?;
    }
    Ok(())
}

fn status(field: &str) -> Result<Option<u64>> {
    if !cfg!(target_os = "linux") {
        return Ok(None);
    }
    let status = read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such line in the status")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(Some(kilobytes * 1024))
}
