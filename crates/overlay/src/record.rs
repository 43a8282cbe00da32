//! Root's record of what is mounted: `/run/left4me/NAME`, gone at reboot as the mounts are.
//!
//! mountinfo does not answer "which layers?": with layers given as `/proc/self/fd/N` it shows those strings. So root
//! writes down, before the mount appears, its unique id and each layer by device and inode. Everybody may read it.
//!
//! ```text
//! left4me-record 1
//! mount 4294967301
//! upper 65024 131
//! layer 65024 120 overlay standard
//! layer 65024 99 installation
//! ```

use std::fmt::Write as _;

use names::{InstanceName, Layer};

use crate::beneath::{Dir, FileId};
use crate::error::{Error, Result};
use crate::stack::Stack;

const HEADER: &str = "left4me-record 1";

/// 500 layers of the longest refs fit.
const MAX_SIZE: usize = 512 * 1024;

/// What is mounted for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The mount's unique id (`STATX_MNT_ID_UNIQUE`).
    pub mount_id: u64,
    /// The upper directory.
    pub upper: FileId,
    /// The layers, highest precedence first.
    pub layers: Vec<(FileId, Layer)>,
}

impl Record {
    /// What will be on record once `stack` is mounted as `mount_id`.
    pub fn of(stack: &Stack, mount_id: u64) -> Result<Self> {
        let layers = stack.layers.iter().map(|(layer, dir)| Ok((dir.id()?, layer.clone()))).collect::<Result<_>>()?;
        Ok(Self { mount_id, upper: stack.upper.id()?, layers })
    }

    /// The record of `name` in `records`; `None` where there is none.
    pub fn read(records: &Dir, name: &InstanceName) -> Result<Option<Self>> {
        match records.read(name.as_str(), MAX_SIZE) {
            Ok(bytes) => Self::parse(&bytes)
                .map(Some)
                .ok_or_else(|| Error::new(format!("{} is not a record", records.label_of(name.as_str())))),
            Err(error) if error.errno() == Some(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the record of `name`, whole or not at all.
    pub fn write(&self, records: &Dir, name: &InstanceName) -> Result<()> {
        records.put_file(name.as_str().as_ref(), self.print().as_bytes(), 0o644)
    }

    pub(crate) fn print(&self) -> String {
        let mut text = format!("{HEADER}\nmount {}\nupper {} {}\n", self.mount_id, self.upper.device, self.upper.inode);
        for (id, layer) in &self.layers {
            // Writing to a String can't fail.
            let _ = writeln!(text, "layer {} {} {layer}", id.device, id.inode);
        }
        text
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != HEADER {
            return None;
        }
        let mount_id = lines.next()?.strip_prefix("mount ")?.parse().ok()?;
        let upper = parse_id(lines.next()?.strip_prefix("upper ")?)?;
        let layers = lines.map(parse_layer).collect::<Option<_>>()?;
        Some(Self { mount_id, upper, layers })
    }
}

fn parse_id(text: &str) -> Option<FileId> {
    let (device, inode) = text.split_once(' ')?;
    Some(FileId { device: device.parse().ok()?, inode: inode.parse().ok()? })
}

fn parse_layer(line: &str) -> Option<(FileId, Layer)> {
    let mut fields = line.strip_prefix("layer ")?.splitn(3, ' ');
    let id = FileId { device: fields.next()?.parse().ok()?, inode: fields.next()?.parse().ok()? };
    Some((id, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_and_back() {
        let id = |inode| FileId { device: 65024, inode };
        let record = Record {
            mount_id: 4_294_967_301,
            upper: id(131),
            layers: vec![(id(120), "overlay a/b".parse().unwrap()), (id(99), Layer::Installation)],
        };
        assert_eq!(Record::parse(record.print().as_bytes()), Some(record));
    }

    #[test]
    fn what_is_not_a_record() {
        for text in [
            "",
            "left4me-record 2\n",
            "left4me-record 1\nmount x\n",
            "left4me-record 1\nmount 1\nupper 1 2\nlayer 1 2\n",
        ] {
            assert_eq!(Record::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Record::parse(b"\xff"), None);
    }
}
