//! `eartag import`.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use anyhow::{Context, bail};
use eartag_server::clock::{SystemClock, fill_random};
use eartag_server::config::Datastore;
use eartag_server::files::why;
use eartag_server::import::{Foreign, LARGEST, Report, import};
use zeroize::Zeroizing;

use crate::args::ImportArgs;
use crate::client::output::{Look, Table};
use crate::terminal;

/// Imports, and says what became of everything.
pub fn run(args: &ImportArgs) -> anyhow::Result<()> {
    if let Some(Datastore::Etcd(_)) = args.place.datastore {
        bail!("this version imports into sqlite only");
    }
    let mut foreign = Foreign::default();
    for file in &args.files {
        let (name, bytes) = read(file)?;
        foreign.read(&name, &bytes)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("no runtime could be started")?;
    let now_ms = SystemClock.now().wall_ms;
    let paths = args.place.paths();
    let report = runtime.block_on(import(&paths, foreign, args.dry_run, now_ms, &fill_random))?;
    terminal::say(&summary(&report, args.dry_run, Look::of_stdout()))
}

/// A whole file, in memory that is wiped.
fn read(path: &Path) -> anyhow::Result<(String, Zeroizing<Vec<u8>>)> {
    let mut bytes = Zeroizing::new(Vec::new());
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let reading = |error: std::io::Error| anyhow::anyhow!("cannot read {name}: {}", why(&error));
    let count = if path == Path::new("-") {
        stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        let file = File::open(path).map_err(reading)?;
        // In one piece, so that growing leaves no copies behind.
        let size = file.metadata().map_err(reading)?.len().min(LARGEST);
        bytes.reserve_exact(usize::try_from(size).unwrap_or_default().saturating_add(1));
        file.take(LARGEST + 1).read_to_end(&mut bytes)
    };
    let count = count.map_err(reading)?;
    if u64::try_from(count).unwrap_or(u64::MAX) > LARGEST {
        bail!("{name} has more than {LARGEST} bytes: export it in parts");
    }
    Ok((name, bytes))
}

fn summary(report: &Report, dry_run: bool, look: Look) -> String {
    let mut counts = Table::new(&[
        "KIND",
        if dry_run { "WOULD IMPORT" } else { "IMPORTED" },
        "HERE ALREADY",
        "LEFT BEHIND",
    ]);
    for (kind, tally) in [
        ("users", report.users),
        ("passwords", report.passwords),
        ("user attributes", report.attributes),
        ("global role bindings", report.bindings),
        ("tokens", report.tokens),
        ("ext tokens", report.ext_tokens),
    ] {
        let cells = [tally.new, tally.present, tally.skipped].map(|count| count.to_string());
        let [new, present, skipped] = &cells;
        counts.row(&[kind, new, present, skipped], false);
    }
    let mut text = counts.render(look);
    if !report.skipped.is_empty() {
        let mut skipped = Table::new(&["LEFT BEHIND", "NAME", "BECAUSE"]);
        for object in &report.skipped {
            skipped.row(&[object.what, &object.name, &object.why], false);
        }
        text.push('\n');
        text.push_str(&skipped.render(look));
    }
    let others = match report.others {
        0 => None,
        1 => Some("1 object is of a kind that is not imported.".to_owned()),
        n => Some(format!("{n} objects are of kinds that are not imported.")),
    };
    for note in report.notes.iter().chain(&others) {
        text.push('\n');
        text.push_str(&crate::client::output::plain(note));
        text.push('\n');
    }
    text
}
