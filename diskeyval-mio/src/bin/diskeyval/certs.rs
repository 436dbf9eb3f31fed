//! `certs`: makes a CA and issues certificates.

use std::io::{self, Write};

use diskeyval_mio::certs::{self, CertsError, Written};

use crate::args::CertsArgs;
use crate::exit::Failure;

pub(crate) fn run(args: &CertsArgs) -> Result<(), Failure> {
    let written = certs::write_new(&args.dir, &args.nodes, &args.client).map_err(failure)?;
    report(&written, &mut io::stdout().lock())
        .map_err(|error| Failure::failed(format!("the certificates are written, but not reported: {error}")))
}

fn failure(error: CertsError) -> Failure {
    match error {
        CertsError::BadName { .. } | CertsError::Collision { .. } | CertsError::BadAuthority { .. } => {
            Failure::input(error)
        }
        _ => Failure::failed(error),
    }
}

fn report(written: &Written, out: &mut impl Write) -> io::Result<()> {
    let ca = written.ca.display();
    if written.new_ca {
        let key = written.ca.with_file_name("ca-key.pem");
        writeln!(out, "CA: {ca}, {} (new; keep the key away from the nodes' machines)", key.display())?;
    } else {
        writeln!(out, "CA: {ca} (was there, and signed these)")?;
    }
    for files in &written.issued {
        writeln!(out, "{}: {}, {}", files.identity, files.cert.display(), files.key.display())?;
    }
    out.flush()
}
