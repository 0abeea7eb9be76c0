//! Load: many connections that each ask one thing after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::CONNECTIONS;
use crate::client::{Ask, Target};
use crate::report::Latencies;
use crate::server::Server;

/// What a round of load showed.
#[derive(Debug, Clone)]
pub struct Round {
    /// Answers per second, all connections together.
    pub rate: f64,
    /// How long each answer took.
    pub latencies: Latencies,
    /// Processor time of the server for each answer. Unlike the rest it hardly depends on what else the machine does.
    pub processor: Duration,
}

/// Asks on [`CONNECTIONS`] connections until the time is over or this many answers have come; connections are opened before the clock starts.
///
/// `ask` makes the n-th question of a connection.
///
/// # Errors
/// Any answer that is no success ends the round: failed requests are not measured as fast ones.
pub async fn round(
    server: &Server,
    target: &Target,
    time: Duration,
    most: usize,
    ask: impl Fn(usize, usize) -> Ask + Send + Sync + 'static,
) -> Result<Round> {
    round_on(CONNECTIONS, server, target, time, most, ask).await
}

/// The same on so many connections.
///
/// # Errors
/// As [`round`].
pub async fn round_on(
    connections: usize,
    server: &Server,
    target: &Target,
    time: Duration,
    most: usize,
    ask: impl Fn(usize, usize) -> Ask + Send + Sync + 'static,
) -> Result<Round> {
    let (ask, each) = (Arc::new(ask), most / connections.max(1));
    let mut connections = try_join_all((0..connections).map(|_| target.connect())).await?;
    for connection in &mut connections {
        connection.ask(&ask(0, 0)).await?;
    }
    let (started, cpu) = (Instant::now(), server.cpu());
    let tasks = connections.into_iter().enumerate().map(|(number, mut connection)| {
        let ask = Arc::clone(&ask);
        tokio::spawn(async move {
            let mut waits = Vec::with_capacity(16_384);
            for n in 0..each {
                if started.elapsed() >= time {
                    break;
                }
                let question = ask(number, n);
                let asked = Instant::now();
                connection.ask(&question).await?;
                waits.push(asked.elapsed());
            }
            anyhow::Ok(waits)
        })
    });
    let mut waits = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        waits.extend(task.await??);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let rate = waits.len() as f64 / started.elapsed().as_secs_f64();
    let answers = u32::try_from(waits.len().max(1))?;
    let processor = server.cpu().saturating_sub(cpu) / answers;
    Ok(Round { rate, latencies: Latencies::new(waits), processor })
}

/// Asks on one connection, this many times.
///
/// # Errors
/// As [`round`].
pub async fn alone(target: &Target, times: usize, ask: impl Fn(usize) -> Ask) -> Result<Latencies> {
    let mut connection = target.connect().await?;
    connection.ask(&ask(0)).await?;
    let mut waits = Vec::with_capacity(times);
    for n in 0..times {
        let question = ask(n);
        let asked = Instant::now();
        connection.ask(&question).await?;
        waits.push(asked.elapsed());
    }
    Ok(Latencies::new(waits))
}
