//! TokenReview over HTTPS, 100 kept-alive connections, the caller authenticated: Eartag with a thousand tokens and with a million, the bare handler over the same
//! TLS, and a kube-apiserver that reviews a token of its own, taking turns in one run.
//!
//! `review [SECONDS] [COUNT]`: rounds take this long each, 4 by default; there are three of each kind, and the middle one counts. Without a kube-apiserver its
//! column is left out. It is here and not among the other benchmarks because the harness of the kube-apiserver is.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints a table")]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use eartag_benches::client::{Ask, Target};
use eartag_benches::load::{Round, round_on};
use eartag_benches::report::{human, machine, middle, table};
use eartag_benches::server::{Server, admin_token};
use eartag_benches::{bare, fill};
use eartag_tests::{KubeApiserver, KubeSetup};

const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const CONNECTIONS: usize = 100;
const ROUNDS: usize = 3;
/// A round ends after this many answers, whatever the time.
const MOST: usize = 800_000;
const FEW: usize = 1000;

/// A server, and what is asked of it.
struct Contender {
    name: String,
    server: Server,
    caller: String,
    token: Box<dyn Fn(usize) -> String + Send + Sync>,
    rounds: Vec<Round>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("bare") {
        return bare::serve(Path::new(&args.next().context("bare FILE")?)).await;
    }
    let seconds = first.map_or(Ok(4), |text| text.parse())?;
    let count = args.next().map_or(Ok(1_000_000), |text| text.parse())?;
    println!("{}\n", machine());
    let scratch = tempfile::tempdir()?;
    let few = eartag(&scratch.path().join("few"), FEW).await?;
    let many = eartag(&scratch.path().join("many"), count).await?;
    let bare = Contender {
        name: "bare handler".to_owned(),
        server: Server::bare(scratch.path())?,
        caller: few.caller.clone(),
        token: Box::new(|n| fill::bearer(n % FEW)),
        rounds: Vec::new(),
    };
    let mut all = vec![bare, few, many];
    let kube =
        if eartag_tests::kube_apiserver::missing() { None } else { Some(kube_apiserver(scratch.path())?) };
    if let Some((running, token)) = &kube {
        all.push(contender_of(running, token)?);
    }
    let time = Duration::from_secs(seconds);
    for _ in 0..ROUNDS {
        for contender in &mut all {
            let round = measure(contender, time).await?;
            contender.rounds.push(round);
        }
    }
    println!("{}", table(&rows(&all)));
    Ok(())
}

/// A server on a store that was filled below the API.
async fn eartag(data: &Path, count: usize) -> Result<Contender> {
    Server::eartag(data)?.stop()?;
    fill::fill(data, count).await?;
    Ok(Contender {
        name: format!("eartag, {count} tokens"),
        server: Server::eartag(data)?,
        caller: admin_token(data)?,
        token: Box::new(move |n| fill::bearer(n.wrapping_mul(7_919) % count)),
        rounds: Vec::new(),
    })
}

/// A kube-apiserver with one token of its own, which is the caller's and what is asked about: the least that it can do.
fn kube_apiserver(scratch: &Path) -> Result<(KubeApiserver, String)> {
    let token = "a-static-token-of-the-benchmark".to_owned();
    let file = scratch.join("tokens.csv");
    std::fs::write(&file, format!("{token},somebody,1,\"system:masters\"\n"))?;
    Ok((KubeSetup::default().arg(&format!("--token-auth-file={}", file.display())).start(), token))
}

fn contender_of(kube: &KubeApiserver, token: &str) -> Result<Contender> {
    let authority = std::fs::read(kube.ca_file())?;
    let (caller, asked) = (token.to_owned(), token.to_owned());
    Ok(Contender {
        name: "kube-apiserver, its own token".to_owned(),
        server: Server::beside(kube.pid(), kube.address().to_string(), authority),
        caller,
        token: Box::new(move |_| asked.clone()),
        rounds: Vec::new(),
    })
}

async fn measure(of: &Contender, time: Duration) -> Result<Round> {
    let target = Target::new(&of.server)?;
    // Made before the clock starts; each connection asks about others.
    let asks: Vec<Ask> = (0..4096).map(|n| Ask::post(PATH, &of.caller, body(&(of.token)(n)))).collect();
    let ask = move |connection: usize, n: usize| {
        let at = (connection * 41 + n) % asks.len();
        asks.get(at).cloned().unwrap_or_else(|| Ask::get(PATH, ""))
    };
    round_on(CONNECTIONS, &of.server, &target, time, MOST, ask).await
}

/// As a kube-apiserver sends it.
fn body(token: &str) -> String {
    format!(
        r#"{{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{{"creationTimestamp":null}},"spec":{{"token":"{token}","audiences":["https://kubernetes.default.svc"]}},"status":{{"user":{{}}}}}}"#
    )
}

fn rows(all: &[Contender]) -> Vec<Vec<String>> {
    let rate = |of: &Contender, n: usize| of.rounds.get(n).map_or(0.0, |round| round.rate);
    let head = ["TokenReview, 100 connections", "rate/s", "median", "p99", "processor", "rate of bare"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for of in all {
        let share =
            middle((0..ROUNDS).map(|n| all.first().map_or(0.0, |bare| rate(of, n) / rate(bare, n).max(1.0))));
        let mut rounds: Vec<&Round> = of.rounds.iter().collect();
        rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let Some(typical) = rounds.get(rounds.len() / 2) else { continue };
        rows.push(vec![
            of.name.clone(),
            format!("{:.0}", typical.rate),
            human(typical.latencies.median()),
            human(typical.latencies.p99()),
            human(typical.processor),
            format!("{:.0} %", share * 100.0),
        ]);
    }
    rows
}
