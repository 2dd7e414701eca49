//! Which mounts hold data on a device of this machine.
//!
//! Invariants:
//! - what could block is not asked: a network or FUSE file system whose server is gone never answers;
//! - each device is reported once, so that a sum over file systems is a sum of disks: the bind mounts of a pod or a chroot
//!   show one device many times.

use std::collections::BTreeMap;

/// One line of `/proc/<pid>/mounts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub device: String,
    pub mountpoint: String,
    pub kind: String,
    pub is_read_only: bool,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ');
        let device = unescape(fields.next()?);
        let mountpoint = unescape(fields.next()?);
        let kind = unescape(fields.next()?);
        let is_read_only = fields.next()?.split(',').any(|option| option == "ro");
        mountpoint.starts_with('/').then_some(Self { device, mountpoint, kind, is_read_only })
    }

    pub(super) fn mode(&self) -> &'static str {
        if self.is_read_only { "ro" } else { "rw" }
    }

    /// Whether it is a file system of this machine that can fill up.
    ///
    /// The root is, whatever it is made of: in a container it is an overlay over the node's disk. Elsewhere an overlay
    /// repeats its lower disks, memory (tmpfs) is counted as memory, and an image (squashfs …) is always full.
    fn is_local_storage(&self) -> bool {
        let kind = self.kind.as_str();
        if matches!(kind, "autofs" | "squashfs" | "erofs" | "iso9660" | "cramfs" | "romfs") {
            return false;
        }
        if self.mountpoint == "/" || matches!(kind, "zfs" | "bcachefs" | "ubifs" | "virtiofs") {
            return true;
        }
        let is_fuse = kind == "fuse" || kind.starts_with("fuse.");
        self.device.starts_with("/dev/") && !is_fuse
    }
}

/// The mounts to report: for each device its mount points, the shortest first. Lines that are no mounts are passed over;
/// the second part is the first of them.
pub(super) fn storage(text: &str) -> (Vec<Vec<Mount>>, Option<&str>) {
    let mut visible = BTreeMap::new();
    let mut first_odd = None;
    for line in text.lines().filter(|line| !line.is_empty()) {
        match Mount::parse(line) {
            // a later mount covers an earlier one at the same place
            Some(mount) => _ = visible.insert(mount.mountpoint.clone(), mount),
            None => first_odd = first_odd.or(Some(line)),
        }
    }
    let mut by_device = BTreeMap::<String, Vec<Mount>>::new();
    for mount in visible.into_values().filter(Mount::is_local_storage) {
        by_device.entry(mount.device.clone()).or_default().push(mount);
    }
    let mut devices = by_device.into_values().collect::<Vec<_>>();
    for mounts in &mut devices {
        mounts
            .sort_by(|a, b| a.mountpoint.len().cmp(&b.mountpoint.len()).then_with(|| a.mountpoint.cmp(&b.mountpoint)));
    }
    (devices, first_odd)
}

/// Undoes the kernel's `\ooo` for space, tab, newline, backslash and `#`.
pub(super) fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, after @ ..] = rest {
        match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', beyond @ ..] if *first == b'\\' => {
                bytes.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest = beyond;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first mount point of every device.
    fn reported(text: &str) -> Vec<String> {
        let (devices, _) = storage(text);
        devices.iter().map(|mounts| mounts[0].mountpoint.clone()).collect()
    }

    #[test]
    fn a_machine_shows_its_disks_alone() {
        let text = "\
rootfs / rootfs rw 0 0
sysfs /sys sysfs rw,nosuid 0 0
proc /proc proc rw 0 0
udev /dev devtmpfs rw 0 0
tmpfs /run tmpfs rw,size=100k 0 0
/dev/mapper/vg-root / ext4 rw,relatime,errors=remount-ro 0 0
/dev/sda1 /boot/efi vfat ro,relatime 0 0
/dev/loop3 /snap/core/1 squashfs ro 0 0
tank/data /tank zfs rw 0 0
filer:/export /mnt/nfs nfs4 rw 0 0
//filer/share /mnt/cifs cifs rw 0 0
me@far:/ /mnt/ssh fuse.sshfs rw 0 0
/dev/fuse /run/user/1/doc fuse.portal rw 0 0
/dev/sdb1 /mnt/win fuseblk rw 0 0
systemd-1 /efi autofs rw 0 0
overlay /var/lib/docker/overlay2/abc/merged overlay rw 0 0
";
        assert_eq!(reported(text), ["/", "/boot/efi", "/mnt/win", "/tank"]);
        let (devices, _) = storage(text);
        assert_eq!(devices[0][0].device, "/dev/mapper/vg-root", "the root file system covers the initial one");
        let modes = devices.iter().map(|mounts| mounts[0].mode()).collect::<Vec<_>>();
        assert_eq!(modes, ["rw", "ro", "rw", "rw"], "`errors=remount-ro` is not `ro`");
    }

    #[test]
    fn a_pod_shows_its_root_and_its_volumes_once() {
        let text = "\
overlay / overlay rw,lowerdir=/a 0 0
tmpfs /dev/shm tmpfs rw 0 0
/dev/nvme0n1p1 /etc/resolv.conf ext4 rw 0 0
/dev/nvme0n1p1 /cache ext4 rw 0 0
/dev/nvme1n1 /data ext4 rw 0 0
/dev/nvme1n1 /data/sub ext4 rw 0 0
";
        let (devices, first_odd) = storage(text);
        let places = devices.iter().map(|mounts| mounts.iter().map(|mount| &*mount.mountpoint).collect::<Vec<_>>());
        assert_eq!(
            places.collect::<Vec<_>>(),
            [vec!["/cache", "/etc/resolv.conf"], vec!["/data", "/data/sub"], vec!["/"]]
        );
        assert_eq!(first_odd, None);
    }

    #[test]
    fn escapes_are_undone_and_the_first_odd_line_named() {
        let (devices, first_odd) =
            storage("/dev/sda /mnt/my\\040disk\\134x ext4 rw 0 0\nshort line\n\n/dev/sdb relative ext4 rw 0 0\n");
        assert_eq!(devices[0][0].mountpoint, "/mnt/my disk\\x");
        assert_eq!(first_odd, Some("short line"));
        assert_eq!(unescape("a\\04"), "a\\04", "a cut escape stays as it is");
    }
}
