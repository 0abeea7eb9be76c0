//! How requests to clusters end: with what they stand on, with their client, with their cluster.

use eartag_core::collections::USERS;
use tokio::io::AsyncReadExt;

use super::super::lease::Lease;
use super::super::transfer::Download;
use super::*;

/// An answer that begins and does not end.
fn endless() -> Response<Body> {
    let first = futures_util::stream::iter([Ok(Bytes::from_static(b"{}\n"))]);
    Response::new(streamed(futures_util::StreamExt::chain(first, futures_util::stream::pending())))
}

/// What ends a body that has begun; the piece that was under way may have been held back already.
async fn end_of(response: Response<Body>) -> std::io::Error {
    let mut body = response.into_body();
    match body.frame().await.expect("an end without an error") {
        Ok(first) => assert_eq!(first.into_data().unwrap(), "{}\n"),
        Err(end) => return end,
    }
    body.frame().await.expect("an end without an error").expect_err("the answer goes on")
}

#[tokio::test]
async fn a_watch_ends_with_the_credential_the_right_and_the_cluster() {
    let stage = Stage::new().await;
    let address = stage.upstream(|_| async { endless() }).await;
    stage.registered("c-1", address).await;
    let watch = "/k8s/clusters/c-1/api/v1/pods?watch=1";

    let other = stage.bearer_of("u-other", "admin").await;
    let answer = stage.ask(&other, watch, &[]).await;
    stage.scene.enable("u-other", false).await;
    assert!(end_of(answer).await.to_string().contains("credential"));

    let third = stage.bearer_of("u-third", "admin").await;
    let answer = stage.ask(&third, watch, &[]).await;
    stage.delete(GLOBAL_ROLE_BINDINGS, "grb-u-third").await;
    assert!(end_of(answer).await.to_string().contains("may no longer use"));

    // Whoever acts as somebody goes on for as long as both may.
    stage.scene.user("u-fourth", "u-fourth", None, "admin").await;
    for gone in [false, true] {
        let answer = stage.ask(&stage.bearer, watch, &[("impersonate-user", "u-fourth")]).await;
        match gone {
            false => stage.scene.enable("u-fourth", false).await,
            true => stage.delete(USERS, "u-fourth").await,
        }
        assert!(end_of(answer).await.to_string().contains("credential"), "gone: {gone}");
        if !gone {
            stage.scene.enable("u-fourth", true).await;
        }
    }

    let answer = stage.ask(&stage.bearer, watch, &[]).await;
    stage.delete(CLUSTERS, "c-1").await;
    assert!(end_of(answer).await.to_string().contains("deleted"));
}

#[tokio::test]
async fn a_body_whose_sender_is_revoked_meanwhile_is_never_complete() {
    let stage = Stage::new().await;
    let (told, complete) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (saw, ended) = (told.clone(), complete.clone());
    let address = stage
        .upstream(move |request| {
            let (saw, ended) = (saw.clone(), ended.clone());
            async move {
                saw.fetch_add(1, Ordering::SeqCst);
                if request.into_body().collect().await.is_ok() {
                    ended.fetch_add(1, Ordering::SeqCst);
                }
                Response::new(full("done"))
            }
        })
        .await;
    stage.registered("c-1", address).await;
    let bearer = stage.bearer_of("u-other", "admin").await;
    let (release, held) = tokio::sync::oneshot::channel::<()>();
    let pieces = futures_util::stream::unfold((0, Some(held)), |(n, held)| async move {
        match n {
            0 => Some((Ok(Bytes::from_static(b"{\"a\":")), (1, held))),
            1 => {
                let _ = held?.await;
                Some((Ok(Bytes::from_static(b"1}")), (2, None)))
            }
            _ => None,
        }
    });
    let sending = stage.send(&bearer, "POST", "/k8s/clusters/c-1/api", &[], streamed(pieces));
    let revoking = async {
        while told.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stage.scene.enable("u-other", false).await;
        release.send(()).unwrap();
    };
    let (answer, ()) = tokio::join!(sending, revoking);
    assert_eq!(status(answer).await, (401, "Unauthorized".to_owned()));
    assert_eq!(complete.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let stage = Stage::new().await;
    let address = stage.upstream(|_| async { endless() }).await;
    stage.registered("c-1", address).await;
    let answer = stage.ask(&stage.bearer, "/k8s/clusters/c-1/api/v1/pods?watch=1", &[]).await;
    let free = || stage.proxy.gates.places();
    let before = free();
    drop(answer);
    assert_eq!(free(), (before.0, before.1 + 1));
}

#[tokio::test]
async fn an_upstream_that_breaks_off_breaks_the_answer_off() {
    let stage = Stage::new().await;
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let address = eartag_upstream::testing::each(stage.ca.acceptor(params), |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let torn = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}\n";
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, torn).await;
    })
    .await;
    stage.registered("c-1", address).await;
    let answer = stage.ask(&stage.bearer, "/k8s/clusters/c-1/api/v1/pods", &[]).await;
    assert_eq!(answer.status(), 200);
    assert!(end_of(answer).await.to_string().contains("broke off"));
}

#[tokio::test]
async fn an_ordinary_answer_that_stops_is_ended_and_one_that_lasts_is_not() {
    let stage = Stage::new().await;
    let address = stage.upstream(|_| async { endless() }).await;
    stage.registered("c-1", address).await;
    let state = &stage.scene.state;
    let ask = async |lasting| {
        let connection = stage.proxy.pool.connection(state, "c-1").await.unwrap();
        let request = http::Request::get("/api").body(full("")).unwrap();
        let answer = connection.upstream.send(request, Duration::from_secs(60)).await.unwrap();
        let (parts, _) = request_of(&stage.bearer, "/k8s/clusters/c-1/api").into_parts();
        let lease = Lease {
            state: state.clone(),
            caller: authn::authenticate(state, &parts, &stage.scene.peer).await.unwrap(),
            cluster: "c-1".to_owned(),
            cluster_uid: connection.uid,
            lasting,
            generation: state.authorizer.generation(),
            _held: Box::new(()),
        };
        let most = Duration::from_millis(200);
        Download::pausing(answer.into_body(), Arc::new(lease), most).boxed_unsync()
    };
    assert!(end_of(Response::new(ask(false).await)).await.to_string().contains("stopped"));
    let mut lasting = ask(true).await;
    lasting.frame().await.unwrap().unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(700), lasting.frame()).await.is_err());
}

fn request_of(bearer: &str, path: &str) -> http::Request<http_body_util::Full<Bytes>> {
    request("GET", path, &[("authorization", &format!("Bearer {bearer}"))], "")
}
