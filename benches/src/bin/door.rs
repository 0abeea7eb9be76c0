//! Eartag over HTTPS beside a bare handler over the same TLS (see the library).
//!
//! `door [SECONDS]`: rounds take this long each, 4 by default; there are three of each kind, taking turns, and the middle one counts.
#![allow(clippy::print_stdout, reason = "a program that prints a table")]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use eartag_benches::client::{Ask, Target};
use eartag_benches::load::{Round, round};
use eartag_benches::report::{human, machine, middle, table};
use eartag_benches::server::{Server, admin_token};
use eartag_benches::{CONNECTIONS, bare};

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const ROUNDS: usize = 3;
/// A round ends after this many answers, whatever the time.
const MOST: usize = 400_000;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("bare") {
        return bare::serve(Path::new(&args.next().context("bare FILE")?)).await;
    }
    let seconds = first.map_or(Ok(4), |text| text.parse())?;
    println!("{}\n", machine());
    let scratch = tempfile::tempdir()?;
    let data = scratch.path().join("data");
    let (eartag, yardstick) = (Server::eartag(&data)?, Server::bare(scratch.path())?);
    let measured = measure(&eartag, &yardstick, &admin_token(&data)?, Duration::from_secs(seconds)).await?;
    println!("{}", table(&measured));
    eartag.stop()
}

async fn measure(
    eartag: &Server,
    yardstick: &Server,
    admin: &str,
    time: Duration,
) -> Result<Vec<Vec<String>>> {
    let (here, bare) = (Target::new(eartag)?, Target::new(yardstick)?);
    let name = admin.trim_start_matches("ext/").split(':').next().unwrap_or_default();
    let asks = [
        ("get of a token", Ask::get(format!("{TOKENS}/{name}"), admin)),
        ("who am I (a check and an answer)", Ask::post(REVIEWS, admin, review())),
        ("create of a token, fsynced", Ask::post(TOKENS, admin, token())),
    ];
    let mut rows = vec![row(&[
        &format!("{CONNECTIONS} connections"),
        "eartag/s",
        "median",
        "p99",
        "processor",
        "bare/s",
        "median",
        "p99",
        "processor",
        "rate of bare",
    ])];
    for (what, ask) in asks {
        let mut pairs: Vec<(Round, Round)> = Vec::new();
        for _ in 0..ROUNDS {
            let question = ask.clone();
            let least = round(yardstick, &bare, time, MOST, move |_, _| question.clone()).await?;
            let question = ask.clone();
            pairs.push((round(eartag, &here, time, MOST, move |_, _| question.clone()).await?, least));
        }
        let share = middle(pairs.iter().map(|(ours, least)| ours.rate / least.rate));
        let ours = typical(pairs.iter().map(|(ours, _)| ours)).context("a round")?;
        let least = typical(pairs.iter().map(|(_, least)| least)).context("a round")?;
        rows.push(row(&[
            what,
            &format!("{:.0}", ours.rate),
            &human(ours.latencies.median()),
            &human(ours.latencies.p99()),
            &human(ours.processor),
            &format!("{:.0}", least.rate),
            &human(least.latencies.median()),
            &human(least.latencies.p99()),
            &human(least.processor),
            &format!("{:.0} %", share * 100.0),
        ]));
    }
    Ok(rows)
}

/// The round with the middle rate.
fn typical<'a>(rounds: impl Iterator<Item = &'a Round>) -> Option<&'a Round> {
    let mut rounds: Vec<&Round> = rounds.collect();
    rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    rounds.get(rounds.len() / 2).copied()
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn review() -> &'static str {
    r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#
}

fn token() -> &'static str {
    r#"{"apiVersion":"ext.cattle.io/v1","kind":"Token","spec":{"description":"made under load"}}"#
}
