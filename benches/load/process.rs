//! Child processes, and what the kernel knows of them.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A child that prints `NAME listening on ADDRESS` for each of its listeners. Killed when dropped.
pub struct Process {
    child: Child,
    addresses: Vec<(String, SocketAddr)>,
    _stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it and waits for its `listeners` addresses.
    pub fn start(mut command: Command, listeners: usize) -> std::io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().expect("piped");
        let mut process = Self { child, addresses: Vec::new(), _stdout: BufReader::new(stdout) };
        while process.addresses.len() < listeners {
            let mut line = String::new();
            if process._stdout.read_line(&mut line)? == 0 {
                return Err(std::io::Error::other(format!("{command:?} ended before it listened")));
            }
            if let Some((name, address)) = line.trim().split_once(" listening on ") {
                process.addresses.push((name.to_owned(), address.parse().expect("an address")));
            }
        }
        Ok(process)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self, name: &str) -> SocketAddr {
        let found = self.addresses.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no listener {name} in {:?}", self.addresses)).1
    }

    /// User and system time so far. The kernel counts in ticks, of 10 ms mostly.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("the child runs");
        // The name, in parentheses, may hold anything; what follows it are numbers. `utime` is the 14th field, the 12th
        // after the name.
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks")).sum();
        Duration::from_secs(1) * u32::try_from(ticks).expect("a short run")
            / u32::try_from(rustix::param::clock_ticks_per_second()).expect("ticks a second")
    }

    /// The largest resident set so far, in bytes.
    pub fn peak_rss_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the child runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kibibytes") << 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}
