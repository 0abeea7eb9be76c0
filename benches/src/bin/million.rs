//! A million tokens beside a thousand (see the library).
//!
//! `million [COUNT]`: COUNT is 1,000,000 by default. Needs about 1 GB of disk in the directory for temporary files.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that prints a table, and times"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use eartag_benches::CONNECTIONS;
use eartag_benches::client::{Ask, Target};
use eartag_benches::fill;
use eartag_benches::load::{Round, alone, round};
use eartag_benches::report::{human, machine, table};
use eartag_benches::server::{Server, admin_token};

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const REVIEW: &str = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
const CREATE: &str = r#"{"apiVersion":"ext.cattle.io/v1","kind":"Token"}"#;
const FEW: usize = 1000;
/// The list that is streamed whole.
const STREAMED: usize = 250_000;

#[tokio::main]
async fn main() -> Result<()> {
    let many = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    println!("{}\n", machine());
    let scratch = tempfile::tempdir()?;
    let (small, large) = (scratch.path().join("few"), scratch.path().join("many"));
    let (few, much) = (store(&small, FEW).await?, store(&large, many).await?);
    let mut rows = vec![vec![String::new(), format!("{FEW} tokens"), format!("{many} tokens")]];
    rows.extend(few.into_iter().zip(much).map(|((what, few), (_, much))| vec![what, few, much]));
    println!("{}", table(&rows));
    Ok(())
}

/// Fills a store and measures a server on it.
async fn store(data: &Path, count: usize) -> Result<Vec<(String, String)>> {
    // The first start makes the admin and the token after which all others are made.
    Server::eartag(data)?.stop()?;
    let filled = Instant::now();
    fill::fill(data, count).await?;
    let filled = filled.elapsed();
    // The second start measures; what the first one read is in the page cache, as after a restart.
    let server = Server::eartag(data)?;
    let started_in = server.started_in;
    let started_cpu = server.cpu();
    let admin = admin_token(data)?;
    let target = Target::new(&server)?;
    let size = size(data)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (resident, peak) = server.memory();
    let mut rows = vec![
        (
            "filled below the API, fsynced in groups".to_owned(),
            format!("{} ({:.0}/s)", human(filled), rate(count, filled)),
        ),
        ("data file".to_owned(), megabytes(size)),
        ("start to ready".to_owned(), format!("{} ({} of processor)", human(started_in), human(started_cpu))),
        ("resident memory, and its peak".to_owned(), format!("{}, {}", megabytes(resident), megabytes(peak))),
    ];
    let mut add = |what: &str, result: String| rows.push((what.to_owned(), result));

    let get = alone(&target, 2000, |n| Ask::get(format!("{TOKENS}/{}", fill::name(pick(n, count))), &admin))
        .await?;
    add("get of a token, one connection", both(get.median(), get.p99()));
    let page = alone(&target, 200, |n| Ask::get(page_path(n, count), &admin)).await?;
    add("page of 500 from the middle", both(page.median(), page.p99()));
    let own = alone(&target, 500, |n| Ask::post(REVIEWS, fill::bearer(pick(n, count)), REVIEW)).await?;
    add("check of a token, one connection", both(own.median(), own.p99()));

    let time = Duration::from_secs(4);
    let ask = move |connection: usize, n: usize| {
        Ask::post(REVIEWS, fill::bearer(pick(connection * 65_537 + n, count)), REVIEW)
    };
    let checks = round(&server, &target, time, 400_000, ask).await?;
    add(&format!("checks, {CONNECTIONS} connections"), load(&checks));
    let creator = admin.clone();
    let creates =
        round(&server, &target, time, 100_000, move |_, _| Ask::post(TOKENS, &creator, CREATE)).await?;
    add(&format!("creates, {CONNECTIONS} connections"), load(&creates));

    let (before, _) = server.memory();
    let list = Ask::get(format!("{TOKENS}?limit={STREAMED}"), &admin);
    let (first, whole, bytes) = target.connect().await?.stream(&list).await?;
    let (after, _) = server.memory();
    add(
        "list of up to 250,000: first byte, whole",
        format!("{}, {} ({})", human(first), human(whole), megabytes(bytes)),
    );
    add("memory that this list took", megabytes(after.saturating_sub(before)));
    server.stop()?;
    Ok(rows)
}

/// A token by number, scattered over all.
fn pick(n: usize, count: usize) -> usize {
    n.wrapping_mul(7_919) % count
}

/// A page that begins at some token, as a client that pages would ask for it.
fn page_path(n: usize, count: usize) -> String {
    let start = fill::name(pick(n, count));
    // rv -1: at what is current. The form is that of Kubernetes' own tokens.
    let token = format!(r#"{{"v":"meta.k8s.io/v1","rv":-1,"start":"{start}\u0000"}}"#);
    format!("{TOKENS}?limit=500&continue={}", base64_url(token.as_bytes()))
}

fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().chain([&0, &0]).take(3).fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        for digit in 0..=chunk.len() {
            let at = usize::try_from(word >> (18 - 6 * digit) & 63).unwrap_or_default();
            out.extend(ALPHABET.get(at).map(|letter| char::from(*letter)));
        }
    }
    out
}

/// Bytes of the data file, its log included.
fn size(data: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in ["eartag.db", "eartag.db-wal"] {
        let path = data.join(file);
        bytes += if path.exists() { std::fs::metadata(path)?.len() } else { 0 };
    }
    Ok(bytes)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn both(median: Duration, p99: Duration) -> String {
    format!("{}, p99 {}", human(median), human(p99))
}

fn load(round: &Round) -> String {
    format!(
        "{:.0}/s, p99 {}, {} of processor each",
        round.rate,
        human(round.latencies.p99()),
        human(round.processor)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_url_alphabet_without_padding() {
        assert_eq!(base64_url(b""), "");
        assert_eq!(base64_url(b"f"), "Zg");
        assert_eq!(base64_url(b"fo"), "Zm8");
        assert_eq!(base64_url(b"foobar"), "Zm9vYmFy");
        assert_eq!(base64_url(&[0xfb, 0xff]), "-_8");
    }
}
