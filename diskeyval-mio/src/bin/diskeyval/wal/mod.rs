//! `wal`: looks into the directory of a node, and changes nothing there.

mod describe;
mod folder;

use std::io::{self, Write};

use crate::args::{WalArgs, WalCommand};
use crate::exit::Failure;
use describe::Description;
use diskeyval_mio::FileName;
use folder::Folder;

pub(crate) fn run(command: &WalCommand) -> Result<(), Failure> {
    let (WalCommand::Dump(WalArgs { dir }) | WalCommand::Verify(WalArgs { dir })) = command;
    let folder = Folder::read(dir).map_err(Failure::input)?;
    let description = describe::describe(&folder.files);
    let in_full = matches!(command, WalCommand::Dump(_));
    match print(&folder, &description, in_full, &mut io::stdout().lock()) {
        // Whoever closed stdout has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        told => told.map_err(|error| Failure::failed(format!("what was found cannot be told: {error}")))?,
    }
    match description.fault {
        None => Ok(()),
        Some(fault) => Err(Failure::failed(fault)),
    }
}

fn print(folder: &Folder, description: &Description, in_full: bool, out: &mut impl Write) -> io::Result<()> {
    if folder.is_held {
        writeln!(out, "a node is at work in this directory: what follows may be a moment old")?;
    }
    for (file, bytes) in &folder.files {
        writeln!(out, "{file}: {} bytes", bytes.len())?;
        // Whose directory it is, and which files count.
        let in_full = in_full || *file == FileName::Superblock;
        let lines = description.lines.iter().filter(|(of, _)| in_full && of == file);
        for (_, line) in lines {
            writeln!(out, "  {line}")?;
        }
    }
    if folder.aside > 0 {
        writeln!(out, "{} files that were set aside (`aside-…`): not looked into", folder.aside)?;
    }
    match &description.fault {
        None => writeln!(out, "sound: a node goes on from this")?,
        Some(fault) => writeln!(out, "{fault}")?,
    }
    out.flush()
}
