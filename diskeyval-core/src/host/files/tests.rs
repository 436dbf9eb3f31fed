//! The operations against real directories.

use std::fs;
use std::path::PathBuf;
use std::string::ToString;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::host::StartError;

const SEGMENT: FileName = FileName::Segment(1);

/// A directory that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("diskeyval-disk-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Scratch(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("a name that is text")
    }

    fn files(&self) -> Files {
        Files::new(Directory::open(self.text()).expect("a directory of our own"))
    }

    /// What lies in it, the lock aside.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a directory").map(|entry| entry.expect("an entry"));
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().into_string().expect("text"))
            .filter(|name| name != "lock")
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn create(file: FileName, size: u64) -> DiskOp {
    DiskOp::Create { file, size }
}

fn write(file: FileName, at: u64, parts: &[&'static [u8]]) -> DiskOp {
    DiskOp::Write { file, at, parts: parts.iter().copied().map(Bytes::from_static).collect() }
}

fn read(file: FileName, at: u64, len: usize) -> DiskOp {
    DiskOp::Read { file, at, len }
}

fn bytes(bytes: &'static [u8]) -> Result<DiskDone, DiskError> {
    Ok(DiskDone::Read(Bytes::from_static(bytes)))
}

fn listed(files: &mut Files) -> Vec<(FileName, u64)> {
    let Ok(DiskDone::Listed(mut found)) = files.perform(DiskOp::List) else { panic!("a list") };
    found.sort();
    found
}

const DONE: Result<DiskDone, DiskError> = Ok(DiskDone::Done);

// ---- Operations ---------------------------------------------------------------------------------------

#[test]
fn what_is_written_is_read_again_by_the_next_process() {
    let dir = Scratch::new();
    let mut files = dir.files();
    assert_eq!(files.perform(create(SEGMENT, 10_000)), DONE);
    assert_eq!(files.perform(write(SEGMENT, 4096, &[b"one", b"", b"two", b"three"])), DONE);
    assert_eq!(files.perform(write(SEGMENT, 0, &[b"alone"])), DONE);
    assert_eq!(files.perform(write(SEGMENT, 9999, &[])), DONE);
    assert_eq!(files.perform(DiskOp::Sync { file: SEGMENT }), DONE);
    drop(files);
    let mut files = dir.files();
    assert_eq!(listed(&mut files), [(SEGMENT, 10_000)]);
    assert_eq!(files.perform(read(SEGMENT, 4095, 13)), bytes(b"\0onetwothree\0"));
    assert_eq!(files.perform(read(SEGMENT, 0, 6)), bytes(b"alone\0"));
}

#[test]
fn what_lies_behind_the_end_is_not_read() {
    let dir = Scratch::new();
    let mut files = dir.files();
    assert_eq!(files.perform(create(SEGMENT, 4)), DONE);
    assert_eq!(files.perform(write(SEGMENT, 0, &[b"abcd"])), DONE);
    assert_eq!(files.perform(read(SEGMENT, 2, 100)), bytes(b"cd"));
    assert_eq!(files.perform(read(SEGMENT, 4, 1)), bytes(b""));
    assert_eq!(
        files.perform(read(SEGMENT, u64::MAX, usize::MAX)),
        bytes(b""),
        "and no memory is taken for it"
    );
}

#[test]
fn many_and_large_parts_are_written_as_if_they_were_one() {
    let dir = Scratch::new();
    let mut files = dir.files();
    let whole: Bytes = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
    let size = whole.len() as u64;
    assert_eq!(files.perform(create(SEGMENT, size + 7)), DONE);
    let (mut parts, mut at) = (Vec::new(), 0);
    for len in [1, 700_000, 2_000_000, 0, 10, 1 << 20, 3, 600_000].into_iter().cycle() {
        let end = whole.len().min(at + len);
        parts.push(whole.slice(at..end));
        at = end;
        if at == whole.len() {
            break;
        }
    }
    assert_eq!(files.perform(DiskOp::Write { file: SEGMENT, at: 7, parts }), DONE);
    assert!(files.perform(read(SEGMENT, 7, whole.len())) == Ok(DiskDone::Read(whole)), "byte for byte");
}

#[test]
fn a_new_file_is_zeros_with_all_its_blocks() {
    let dir = Scratch::new();
    let mut files = dir.files();
    let size = (1 << 20) + 4097;
    assert_eq!(files.perform(create(SEGMENT, size)), DONE);
    assert_eq!(dir.names(), ["wal-0000000000000001"]);
    let Ok(DiskDone::Read(found)) = files.perform(read(SEGMENT, 0, usize::MAX)) else { panic!("bytes") };
    assert!(found.len() as u64 == size && found.iter().all(|byte| *byte == 0));
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = fs::metadata(dir.0.join(SEGMENT.to_string())).expect("a file");
        assert!(found.blocks() * 512 >= size, "{} blocks", found.blocks());
    }
    assert_eq!(files.perform(create(FileName::Superblock, 0)), DONE);
}

#[test]
fn nothing_that_is_there_is_made_anew() {
    let dir = Scratch::new();
    let mut files = dir.files();
    assert_eq!(files.perform(create(SEGMENT, 3)), DONE);
    assert_eq!(files.perform(write(SEGMENT, 0, &[b"abc"])), DONE);
    let again = files.perform(create(SEGMENT, 9));
    let Err(DiskError::Failed(why)) = again else { panic!("{again:?}") };
    assert!(why.contains("wal-0000000000000001"), "{why}");
    assert_eq!(files.perform(read(SEGMENT, 0, 9)), bytes(b"abc"));
}

#[test]
fn what_is_not_there_is_missing_and_can_be_removed_and_set_aside() {
    let dir = Scratch::new();
    let mut files = dir.files();
    for what in [write(SEGMENT, 0, &[b"x"]), DiskOp::Sync { file: SEGMENT }, read(SEGMENT, 0, 1)] {
        assert_eq!(files.perform(what), Err(DiskError::Missing));
    }
    assert_eq!(files.perform(DiskOp::Remove { file: SEGMENT }), DONE);
    assert_eq!(files.perform(DiskOp::SetAside { file: SEGMENT, under: 1 }), DONE);
    assert!(dir.names().is_empty(), "and nothing has come about by it");
}

#[test]
fn a_file_that_was_removed_is_gone_and_its_name_is_free() {
    let dir = Scratch::new();
    let mut files = dir.files();
    assert_eq!(files.perform(create(SEGMENT, 3)), DONE);
    assert_eq!(files.perform(write(SEGMENT, 0, &[b"abc"])), DONE);
    assert_eq!(files.perform(DiskOp::Remove { file: SEGMENT }), DONE);
    assert_eq!(files.perform(read(SEGMENT, 0, 3)), Err(DiskError::Missing), "not by a handle either");
    assert_eq!(files.perform(create(SEGMENT, 2)), DONE);
    assert_eq!(files.perform(read(SEGMENT, 0, 3)), bytes(b"\0\0"));
}

#[test]
fn what_is_set_aside_keeps_its_bytes_and_loses_its_name() {
    let dir = Scratch::new();
    let mut files = dir.files();
    let aside = DiskOp::SetAside { file: SEGMENT, under: 0x2a };
    assert_eq!(files.perform(create(SEGMENT, 3)), DONE);
    assert_eq!(files.perform(write(SEGMENT, 0, &[b"abc"])), DONE);
    assert_eq!(files.perform(aside.clone()), DONE);
    assert_eq!(files.perform(aside.clone()), DONE, "it was moved before");
    assert_eq!(listed(&mut files), []);
    let name = "aside-000000000000002a-wal-0000000000000001";
    assert_eq!(dir.names(), [name]);
    assert_eq!(FileName::parse(name), None);
    assert_eq!(fs::read(dir.0.join(name)).expect("a file"), b"abc");
    assert_eq!(files.perform(create(SEGMENT, 1)), DONE);
    assert!(
        matches!(files.perform(aside), Err(DiskError::Failed(_))),
        "nothing that was kept is overwritten"
    );
    assert_eq!(fs::read(dir.0.join(name)).expect("a file"), b"abc");
}

#[test]
fn what_is_nobodys_business_is_neither_listed_nor_touched() {
    let dir = Scratch::new();
    for foreign in ["wal-1", "notes.txt", "new-plan", "aside-1-wal-0000000000000001"] {
        fs::write(dir.0.join(foreign), "theirs").expect("a file");
    }
    fs::create_dir(dir.0.join("lost+found")).expect("a directory");
    let before = dir.names();
    let mut files = dir.files();
    assert_eq!(listed(&mut files), []);
    assert_eq!(dir.names(), before);
}

#[test]
fn more_files_than_are_kept_open_are_all_served() {
    let dir = Scratch::new();
    let mut files = dir.files();
    let count = 3 * MAX_OPEN as u64;
    for number in 1..=count {
        assert_eq!(files.perform(create(FileName::Segment(number), 8)), DONE);
        assert_eq!(
            files.perform(DiskOp::Write {
                file: FileName::Segment(number),
                at: 0,
                parts: vec![number.to_le_bytes().to_vec().into()],
            }),
            DONE
        );
    }
    assert_eq!(files.open_files(), usize::try_from(count).expect("few"), "what is not durable stays open");
    for number in 1..=count {
        assert_eq!(files.perform(DiskOp::Sync { file: FileName::Segment(number) }), DONE);
    }
    for number in 1..=count {
        let found = files.perform(read(FileName::Segment(number), 0, 8));
        assert_eq!(found, Ok(DiskDone::Read(number.to_le_bytes().to_vec().into())));
    }
    assert_eq!(files.perform(create(FileName::Snapshot(1), 1)), DONE);
    assert!(files.open_files() <= MAX_OPEN);
}

// ---- Directories --------------------------------------------------------------------------------------

#[test]
fn a_directory_is_made_with_those_that_it_is_in() {
    let dir = Scratch::new();
    let path = dir.0.join("a/b/c");
    let directory = Directory::open(path.to_str().expect("text")).expect("made");
    assert!(path.is_dir());
    drop(directory);
    Directory::open(path.to_str().expect("text")).expect("it is there, and free");
}

#[test]
fn a_directory_is_held_by_one_at_a_time_who_is_named() {
    let dir = Scratch::new();
    let held = Directory::open(dir.text()).expect("free");
    let refused = Directory::open(dir.text()).expect_err("in use");
    assert!(
        matches!(&refused, StartError::DirectoryInUse { path, holder: Some(holder) }
            if *path == dir.0 && *holder == std::process::id()),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("in use by process"), "{refused}");
    drop(held);
    Directory::open(dir.text()).expect("free again");
}

#[test]
fn one_who_is_about_to_let_go_is_waited_for() {
    let dir = Scratch::new();
    let held = Directory::open(dir.text()).expect("free");
    let path = dir.text().to_owned();
    let waiting = thread::Builder::new().spawn(move || Directory::open(&path)).expect("a thread");
    drop(held);
    waiting.join().expect("no panic").expect("free before long");
}

#[test]
fn a_file_in_the_place_of_a_directory_is_named() {
    let dir = Scratch::new();
    let file = dir.0.join("file");
    fs::write(&file, "no directory").expect("a file");
    for path in [file.clone(), file.join("below")] {
        let refused = Directory::open(path.to_str().expect("text")).expect_err("no directory");
        assert!(matches!(refused, StartError::Directory { .. }), "{refused:?}");
        let text = refused.to_string();
        assert!(text.contains(path.to_str().expect("text")) && text.contains("something else"), "{text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_written_to_is_named() {
    // Nobody can write there, not even root.
    let refused = Directory::open("/proc/diskeyval").expect_err("no place for directories");
    assert!(refused.to_string().contains("/proc/diskeyval"), "{refused}");
    let Some(mounted) = Mounted::new("ro,size=64k") else { return };
    let refused = Directory::open(mounted.0.text()).expect_err("read only");
    assert!(refused.to_string().contains("must be possible to write"), "{refused}");
}

#[test]
fn what_was_half_made_when_its_process_was_killed_was_never_there() {
    let dir = Scratch::new();
    drop(dir.files());
    fs::write(dir.0.join("new-superblock"), "hal").expect("a file");
    fs::write(dir.0.join("new-wal-0000000000000001"), "").expect("a file");
    let mut files = dir.files();
    assert!(dir.names().is_empty());
    assert_eq!(listed(&mut files), []);
    assert_eq!(files.perform(create(SEGMENT, 1)), DONE);
}

// ---- A disk that is full ------------------------------------------------------------------------------

/// A file system in memory, with bounds.
#[cfg(target_os = "linux")]
struct Mounted(Scratch);

#[cfg(target_os = "linux")]
impl Mounted {
    /// `None`, and a word on it, where this process must not mount.
    fn new(options: &str) -> Option<Mounted> {
        let dir = Scratch::new();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "diskeyval-test", dir.text()])
            .output();
        if mount.is_ok_and(|done| done.status.success()) {
            return Some(Mounted(dir));
        }
        // Past the capture of the test harness: whoever reads the log has to see it.
        let _ =
            io::Write::write_all(&mut io::stderr(), b"SKIPPED: only root can mount a small file system\n");
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0.0).output();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_found_out_when_a_file_is_made_and_leaves_nothing_behind() {
    let Some(mounted) = Mounted::new("size=1m") else { return };
    let mut files = mounted.0.files();
    assert_eq!(files.perform(create(SEGMENT, 600 << 10)), DONE);
    assert_eq!(files.perform(create(FileName::Segment(2), 600 << 10)), Err(DiskError::Full));
    assert_eq!(mounted.0.names(), ["wal-0000000000000001"]);
    // What has its blocks needs no room.
    assert_eq!(files.perform(write(SEGMENT, 599 << 10, &[b"there is room for this"])), DONE);
    assert_eq!(files.perform(DiskOp::Sync { file: SEGMENT }), DONE);
    assert_eq!(files.perform(DiskOp::Remove { file: SEGMENT }), DONE);
    assert_eq!(files.perform(create(FileName::Segment(2), 600 << 10)), DONE, "there is room again");
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_operating_system_refuses_is_told_in_its_words_with_the_name_of_the_file() {
    let dir = Scratch::new();
    let mut files = dir.files();
    fs::create_dir(dir.0.join(SEGMENT.to_string())).expect("a directory");
    for what in [write(SEGMENT, 0, &[b"x"]), DiskOp::List, DiskOp::Remove { file: SEGMENT }] {
        let refused = files.perform(what);
        let Err(DiskError::Failed(why)) = &refused else { panic!("{refused:?}") };
        assert!(why.contains("wal-0000000000000001"), "{why}");
    }
}
