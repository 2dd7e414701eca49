//! Reading kernel files below a root directory.
//!
//! Invariants:
//! - no path leads outside the root: every reader goes through [`Root`];
//! - no read is longer than its limit, whatever the file says of its size;
//! - bytes that are no UTF-8 become U+FFFD: one odd mount point or interface name must not cost all the others.
//!
//! With `/` the files are our own view. With another root they are the node's, mounted into a container; `proc/self` and
//! `proc/net` there are still *this* process's (the kernel resolves `self` for whoever reads), so what belongs to a
//! namespace is read from `proc/1` instead.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::ScrapeError;

/// Longest file that is read whole. `/proc/stat` of 8,192 CPUs is under 2 MiB.
const MAX_FILE_BYTES: usize = 4 << 20;
/// First buffer: most kernel files fit, and are then read in one call.
const FIRST_BUFFER_BYTES: usize = 16 << 10;
/// While a table has more, the kernel hands out a page of at least 4 KiB less one line; a shorter read was the last.
const LAST_READ_BYTES: usize = 2 << 10;

/// The directory that stands for `/`.
#[derive(Clone, Debug)]
pub(super) struct Root {
    path: PathBuf,
}

impl Root {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Whether this is the root of our own view rather than a mounted node.
    pub(super) fn is_own(&self) -> bool {
        self.path == Path::new("/")
    }

    /// The path below the root; a leading `/` of `inside` is dropped.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.path.join(inside.trim_start_matches('/'))
    }

    /// The directory of the network namespace that is reported: our own, or that of the node's first process.
    ///
    /// A tree with a plain `proc/net` directory is a copy of a proc file system, and that directory is what it means.
    pub(super) fn net(&self) -> &'static str {
        if self.is_own() {
            return "proc/self/net";
        }
        let net_is_plain = std::fs::symlink_metadata(self.path("proc/net")).is_ok_and(|found| found.is_dir());
        if net_is_plain { "proc/net" } else { "proc/1/net" }
    }

    /// The mount table that is reported: our own, or that of the node's first process.
    pub(super) fn mounts(&self) -> &'static str {
        if self.is_own() { "proc/self/mounts" } else { "proc/1/mounts" }
    }

    pub(super) fn exists(&self, inside: &str) -> bool {
        self.path(inside).exists()
    }

    /// The whole file as text.
    ///
    /// # Errors
    /// The file cannot be read, or is longer than 4 MiB.
    pub(super) fn read(&self, inside: &str) -> Result<String, ScrapeError> {
        let path = self.path(inside);
        let mut content = Vec::with_capacity(FIRST_BUFFER_BYTES);
        let read = File::open(&path).and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut content));
        if let Err(error) = read {
            return Err(ScrapeError::read(path, error));
        }
        if content.len() > MAX_FILE_BYTES {
            return Err(ScrapeError::TooLong { path, limit_bytes: MAX_FILE_BYTES as u64 });
        }
        Ok(match String::from_utf8_lossy(&content) {
            std::borrow::Cow::Borrowed(_) => String::from_utf8(content).unwrap_or_default(),
            std::borrow::Cow::Owned(replaced) => replaced,
        })
    }

    /// Calls `line` with every line of a file that may be long, in a fixed buffer: no more than `limit_bytes` are read,
    /// and a line longer than the buffer is cut.
    ///
    /// # Errors
    /// The file cannot be read, is longer than the limit, or `line` refused one.
    pub(super) fn each_line(
        &self,
        inside: &str,
        limit_bytes: u64,
        mut line: impl FnMut(&[u8]) -> Result<(), ScrapeError>,
    ) -> Result<(), ScrapeError> {
        let path = self.path(inside);
        let mut file = File::open(&path).map_err(|error| ScrapeError::read(path.clone(), error))?;
        let mut buffer = vec![0_u8; 64 << 10];
        let mut held_bytes = 0;
        let mut total_bytes = 0_u64;
        loop {
            if held_bytes == buffer.len() {
                held_bytes = 0; // a line without an end: what was held of it is let go
            }
            let read_bytes = match file.read(buffer.get_mut(held_bytes..).unwrap_or_default()) {
                Ok(read_bytes) => read_bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ScrapeError::read(path, error)),
            };
            total_bytes += read_bytes as u64;
            if total_bytes > limit_bytes {
                return Err(ScrapeError::TooLong { path, limit_bytes });
            }
            let filled_bytes = held_bytes + read_bytes;
            let filled = buffer.get(..filled_bytes).unwrap_or_default();
            if read_bytes == 0 {
                return if filled.is_empty() { Ok(()) } else { line(filled) };
            }
            let mut rest = filled;
            while let Some(end) = memchr::memchr(b'\n', rest) {
                let (one, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                line(one)?;
                rest = after.get(1..).unwrap_or_default();
            }
            let rest_bytes = rest.len();
            // asking once more would make the kernel walk a whole socket hash again only to find nothing
            if rest_bytes == 0 && read_bytes < LAST_READ_BYTES {
                return Ok(());
            }
            buffer.copy_within(filled_bytes - rest_bytes..filled_bytes, 0);
            held_bytes = rest_bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(content: &[u8], limit_bytes: u64) -> Result<Vec<usize>, ScrapeError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("table"), content).unwrap();
        let mut lengths = Vec::new();
        Root::new(folder.path()).each_line("table", limit_bytes, |line| {
            lengths.push(line.len());
            Ok(())
        })?;
        Ok(lengths)
    }

    #[test]
    fn every_line_is_seen_once_however_reads_fall() {
        // 1,024 bytes a line: the first read ends with a line, and there is more
        let content = [vec![b'a'; 1023], vec![b'\n']].concat().repeat(200);
        assert_eq!(lines(&content, 1 << 20).unwrap(), [1023; 200]);
        let content = [vec![b'a'; 999], vec![b'\n']].concat().repeat(200);
        assert_eq!(lines(&content, 1 << 20).unwrap(), [999; 200]);
        assert_eq!(lines(b"one\n\nthree", 1 << 20).unwrap(), [3, 0, 5], "the last line may have no end");
        assert!(lines(b"", 1 << 20).unwrap().is_empty());
    }

    #[test]
    fn a_line_without_end_takes_no_memory_and_a_long_file_is_refused() {
        let content = vec![b'a'; 200_000];
        assert_eq!(lines(&content, 1 << 20).unwrap(), [200_000 - 3 * 65_536]);
        assert!(matches!(lines(&content, 100_000), Err(ScrapeError::TooLong { limit_bytes: 100_000, .. })));
    }

    #[test]
    fn no_path_is_taken_for_an_absolute_one() {
        let root = Root::new("/hostfs");
        assert_eq!(root.path("/boot"), Path::new("/hostfs/boot"));
        assert_eq!(root.path("//etc"), Path::new("/hostfs/etc"));
        assert_eq!(root.path("/"), Path::new("/hostfs"));
        assert!(!root.is_own() && Root::new("/").is_own());
    }

    #[test]
    fn name_spaces_are_those_of_the_first_process_of_a_mounted_node() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("proc")).unwrap();
        let root = Root::new(folder.path());
        std::os::unix::fs::symlink("self/net", folder.path().join("proc/net")).unwrap();
        assert_eq!((root.net(), root.mounts()), ("proc/1/net", "proc/1/mounts"));
        std::fs::remove_file(folder.path().join("proc/net")).unwrap();
        std::fs::create_dir(folder.path().join("proc/net")).unwrap();
        assert_eq!(root.net(), "proc/net");
        assert_eq!((Root::new("/").net(), Root::new("/").mounts()), ("proc/self/net", "proc/self/mounts"));
    }
}
