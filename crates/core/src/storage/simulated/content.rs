//! What a file holds on the simulated disk: now, and after a power loss.

/// What of a write is kept or lost as a whole.
const SECTOR: usize = 512;

#[derive(Default, Clone)]
pub(super) struct Content {
    bytes: Vec<u8>,
    /// What a power loss leaves, and what was done since, of which it leaves any part.
    synced: Vec<u8>,
    unsynced: Vec<Edit>,
}

#[derive(Clone)]
enum Edit {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl Content {
    /// These bytes, durably.
    pub(super) fn synced(bytes: Vec<u8>) -> Self {
        Self { synced: bytes.clone(), bytes, unsynced: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[at..end].copy_from_slice(bytes);
        self.unsynced.push(Edit::Write(at, bytes.to_vec()));
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.bytes.resize(length, 0);
        self.unsynced.push(Edit::Truncate(length));
    }

    /// What it holds survives from here on.
    pub(super) fn sync(&mut self) {
        self.synced.clone_from(&self.bytes);
        self.unsynced.clear();
    }

    /// What was done since the last sync will not survive.
    pub(super) fn forget(&mut self) {
        self.unsynced.clear();
    }

    /// What a power loss leaves, if `keeps` says of each sector and length that changed whether it is left.
    pub(super) fn after_power_loss(&self, keeps: &mut impl FnMut() -> bool) -> Self {
        let mut bytes = self.synced.clone();
        for edit in &self.unsynced {
            match edit {
                Edit::Truncate(length) => {
                    if keeps() {
                        bytes.resize(*length, 0);
                    }
                }
                Edit::Write(at, written) => {
                    let (mut at, mut written) = (*at, &written[..]);
                    while !written.is_empty() {
                        let (part, rest) = written.split_at(written.len().min(SECTOR - at % SECTOR));
                        if keeps() {
                            bytes.resize(bytes.len().max(at + part.len()), 0);
                            bytes[at..at + part.len()].copy_from_slice(part);
                        }
                        (at, written) = (at + part.len(), rest);
                    }
                }
            }
        }
        Self::synced(bytes)
    }
}
