//! A connection that was upgraded: bytes both ways, until one side ends, or the lease is lost.

use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, split};
use tokio::time::timeout;

use super::lease::Lease;

/// From the answer to both connections being free for the new protocol.
const SWITCH: Duration = Duration::from_secs(30);
/// When one direction has ended, what is still on its way in the other has this long.
const GRACE: Duration = Duration::from_secs(10);

/// Carries bytes between client and cluster.
pub async fn tunnel(client: OnUpgrade, cluster: OnUpgrade, lease: Arc<Lease>) {
    let both = timeout(SWITCH, async { tokio::try_join!(client, cluster) }).await;
    let Ok(Ok((client, cluster))) = both else {
        tracing::debug!(cluster = lease.cluster, "a connection was not upgraded after all");
        return;
    };
    tokio::select! {
        () = relay(TokioIo::new(client), TokioIo::new(cluster), GRACE) => {}
        loss = lease.clone().lost() => {
            tracing::info!(cluster = lease.cluster, ?loss, user = lease.caller.user.name, "an upgraded connection was cut off");
        }
    }
}

async fn relay(client: impl AsyncRead + AsyncWrite, cluster: impl AsyncRead + AsyncWrite, grace: Duration) {
    let (from_client, to_client) = split(client);
    let (from_cluster, to_cluster) = split(cluster);
    let mut there = std::pin::pin!(one_way(from_client, to_cluster));
    let mut back = std::pin::pin!(one_way(from_cluster, to_client));
    // Whoever ended does not come back: the other side must not hold the connection for ever.
    let _ = tokio::select! {
        () = there.as_mut() => timeout(grace, back).await,
        () = back.as_mut() => timeout(grace, there).await,
    };
}

async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_on_its_way_arrives_and_a_half_closed_side_holds_nothing() {
        let (mut user, client) = duplex(64);
        let (cluster, mut kubelet) = duplex(64);
        let relayed = tokio::spawn(relay(client, cluster, GRACE));
        user.write_all(b"exit").await.unwrap();
        user.shutdown().await.unwrap();
        let mut asked = String::new();
        kubelet.read_to_string(&mut asked).await.unwrap();
        assert_eq!(asked, "exit");
        kubelet.write_all(b"bye").await.unwrap();
        let mut three = [0; 3];
        user.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"bye");
        // The kubelet never closes.
        relayed.await.unwrap();
    }
}
