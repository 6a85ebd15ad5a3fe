//! Logs and snapshots with wrong bytes.

use super::*;
use crate::error::Error;

/// A directory with a snapshot and a log of a few writes, each synced before the next; what it holds after each.
fn sample(durability: Durability) -> (Simulated, Vec<Contents>) {
    let disk = Simulated::new();
    let index = open_on(&disk, durability).unwrap();
    let mut states = vec![contents(&index)];
    for write in [
        Write::Add((0..4).collect(), 1),
        Write::Upsert(vec![2, 9], 2),
        Write::Remove(vec![1]),
        Write::Clear,
        Write::Add(vec![5, 6], 3),
    ] {
        write.run(&index).unwrap();
        states.push(contents(&index));
    }
    drop(index);
    (disk, states)
}

fn typed(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. } | Error::Version { .. })
}

#[test]
fn every_byte_of_a_log_flipped_is_noticed() {
    for durability in [Durability::Fsync, Durability::Buffered] {
        let (disk, states) = sample(durability);
        let path = path_of(&disk, "log-");
        let bytes = disk.read(&path).unwrap();
        let (mut refused, mut cut) = (0, 0);
        for at in 0..bytes.len() {
            for mask in [1, 0x80, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] ^= mask;
                let disk = with(&disk, &path, &damaged);
                match read_on(&disk) {
                    Err(error) => {
                        assert!(typed(&error), "byte {at}: {error}");
                        refused += 1;
                        // And a writer leaves it alone.
                        assert!(typed(&open_on(&disk, durability).map(|_| ()).unwrap_err()));
                        assert_eq!(disk.read(&path).unwrap(), damaged);
                    }
                    // Only what nothing follows can be taken for a torn tail.
                    Ok(index) => {
                        assert_eq!(contents(&index), states[states.len() - 2], "byte {at}");
                        cut += 1;
                    }
                }
            }
        }
        assert!(refused > 3 * cut && cut > 0, "{refused} refused, {cut} cut");
    }
}

#[test]
fn a_log_of_any_length_holds_a_prefix() {
    let (disk, states) = sample(Durability::Fsync);
    let path = path_of(&disk, "log-");
    let bytes = disk.read(&path).unwrap();
    let mut last = 0;
    for length in 0..=bytes.len() {
        let disk = with(&disk, &path, &bytes[..length]);
        let index = open_on(&disk, Durability::Fsync).unwrap();
        let found = contents(&index);
        // One state may come twice, so look for it from the last one on.
        let position = states[last..].iter().position(|state| *state == found);
        last += position.unwrap_or_else(|| panic!("{length} bytes: {found:?}"));
        // What is written now is found again, and the torn tail is not.
        Write::Upsert(vec![50], 9).run(&index).unwrap();
        let again = open_on(&disk.after_crash(), Durability::Fsync).unwrap();
        assert_eq!(contents(&again), contents(&index));
    }
    assert_eq!(last, states.len() - 1);
}

#[test]
fn garbage_behind_a_log_is_cut() {
    let (disk, states) = sample(Durability::Fsync);
    let path = path_of(&disk, "log-");
    for garbage in [vec![0; 5_000], vec![0xA5; 37], b"\x01".repeat(4_096)] {
        let disk = with(&disk, &path, &[disk.read(&path).unwrap(), garbage].concat());
        assert_eq!(contents(&open_on(&disk, Durability::Fsync).unwrap()), states[states.len() - 1]);
    }
}

#[test]
fn a_missing_snapshot_or_segment_is_noticed() {
    let (disk, _) = sample(Durability::Fsync);
    let snapshot = Path::new(DIRECTORY).join("snapshot-0000000000000000.vicinal");
    crate::storage::Disk::remove(&disk, &snapshot).unwrap();
    assert!(matches!(open_on(&disk, Durability::Fsync), Err(Error::Corrupt { .. })));
    assert!(matches!(read_on(&disk), Err(Error::Corrupt { .. })));

    // Three segments, as openings after crashes leave them, and the one in the middle goes.
    let disk = Simulated::new();
    for id in 0..3 {
        let index = open_on(&disk.after_crash(), Durability::Fsync);
        drop(index);
        let index = open_on(&disk, Durability::Fsync).unwrap();
        Write::Add(vec![id], 1).run(&index).unwrap();
        drop(index);
    }
    let segments: Vec<_> = disk.names().into_iter().filter(|path| path.to_str().unwrap().contains("log-")).collect();
    assert_eq!(segments.len(), 3);
    assert_eq!(read_on(&disk).unwrap().len(), 3);
    crate::storage::Disk::remove(&disk, &segments[1]).unwrap();
    assert!(matches!(read_on(&disk), Err(Error::Corrupt { .. })));
}

#[test]
fn a_segment_of_another_directory_is_refused() {
    let ((disk, _), (other, _)) = (sample(Durability::Fsync), sample(Durability::Fsync));
    let path = path_of(&disk, "log-");
    let disk = with(&disk, &path, &other.read(&path).unwrap());
    assert!(matches!(read_on(&disk), Err(Error::Corrupt { .. })));
}

#[test]
fn crafted_writes_are_refused() {
    use crate::storage::log::Log;

    type Craft = (&'static str, u8, Vec<u8>);
    let number = |number: u64| number.to_le_bytes().to_vec();
    let one_row = [number(1), number(7), vec![0; 12]].concat();
    let crafts: [Craft; 10] = [
        ("an unknown kind", 9, Vec::new()),
        ("bytes after clear", 4, vec![1]),
        ("no count", 1, vec![0; 7]),
        ("a huge count", 1, number(u64::MAX)),
        ("no rows", 1, [number(1), number(7)].concat()),
        ("half a row", 1, [number(1), number(7), vec![0; 6]].concat()),
        ("NaN", 1, [number(1), number(7), f32::NAN.to_le_bytes().repeat(3)].concat()),
        ("an id that exists", 1, [number(1), number(1), vec![0; 12]].concat()),
        ("an unsafe integer", 1, [number(1), number(1 << 60), vec![0; 12]].concat()),
        ("bytes after a row", 1, [one_row.clone(), vec![0]].concat()),
    ];
    for (what, kind, payload) in crafts {
        let disk = Simulated::new();
        let index = open_on(&disk, Durability::Fsync).unwrap();
        Write::Add(vec![1], 1).run(&index).unwrap();
        let log: &Log = &index.inner().durable().unwrap().log;
        log.append(kind, payload.len() as u64, |out| out.put(&payload)).unwrap();
        match read_on(&disk) {
            Err(Error::Corrupt { .. }) => {}
            other => panic!("{what}: {:?}", other.map(|index| index.len())),
        }
    }
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    let log: &Log = &index.inner().durable().unwrap().log;
    log.append(1, one_row.len() as u64, |out| out.put(&one_row)).unwrap();
    assert_eq!(read_on(&disk).unwrap().len(), 1, "the row that the others are made of");
}
