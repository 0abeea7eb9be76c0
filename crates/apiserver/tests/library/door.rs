//! The door itself: paths, methods, rights, times, and what was made up by the server.

use std::sync::atomic::Ordering;

use eartag_apiserver::http::body::streamed;
use futures_util::stream;
use http::Method;
use serde_json::json;

use crate::support::{BASE, PARTIAL_LIST, TABLE, names, server, version, widget};

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let server = server().await;
    server.make("a", json!({})).await;
    for (uri, code) in [
        (format!("{BASE}/a"), 200),
        (BASE.to_owned(), 200),
        (format!("{BASE}/b"), 404),
        ("/apis".to_owned(), 200),
        ("/openapi/v2".to_owned(), 200),
        ("/nothing".to_owned(), 404),
    ] {
        let get = server.get(&uri).send().await;
        let head = server.ask(Method::HEAD, &uri).send().await;
        assert_eq!((head.code, head.bytes.len()), (code, 0), "{uri}");
        assert_eq!(
            (get.code, get.header("content-type"), get.header("etag")),
            (code, head.header("content-type"), head.header("etag"))
        );
    }
    server.ask(Method::HEAD, format!("{BASE}/a")).by("reader").send().await;
    assert_eq!(server.authorizer.asked.lock().last().unwrap().verb, "get");
}

#[tokio::test]
async fn trailing_slashes_and_unknown_parameters_are_tolerated() {
    let server = server().await;
    server.make("a", json!({})).await;
    for uri in [
        "/api/",
        "/apis/",
        "/apis/example.org/",
        "/apis/example.org/v1/",
        "/apis?timeout=32s",
        &format!("{BASE}/"),
        &format!("{BASE}/a/"),
        &format!("{BASE}?foo=bar&&=x&timeout=32s"),
        "//apis",
    ] {
        server.get(uri).expect(200).await;
    }
    assert_eq!(
        server.get(format!("{BASE}?limit=1&limit=x")).send().await.code,
        200,
        "of repeated parameters the first counts"
    );
}

#[tokio::test]
async fn paths_outside_any_api_are_plain_not_founds() {
    let server = server().await;
    for uri in [
        "/nothing",
        "/apis/nothing.org",
        "/apis/nothing.org/v1",
        "/apis/nothing.org/v1/things",
        "/apis/example.org/v2",
        "/apis/example.org/v2/widgets",
        "/api/v2",
        "/api/v2/places",
        "/openapi",
        "/openapi/v4",
        "/version/x",
    ] {
        let reply = server.get(uri).send().await;
        assert_eq!((reply.code, reply.text().as_str()), (404, "404 page not found\n"), "{uri}");
        assert_eq!(
            (reply.header("content-type"), reply.header("x-content-type-options")),
            ("text/plain; charset=utf-8", "nosniff")
        );
    }
}

#[tokio::test]
async fn unknown_resources_of_a_known_version_are_statuses() {
    let server = server().await;
    server.make("a", json!({})).await;
    let message = "the server could not find the requested resource";
    for uri in [
        "/apis/example.org/v1/things",
        "/apis/example.org/v1/things/a",
        &format!("{BASE}/a/status"),
        &format!("{BASE}/a/b/c/d"),
        "/apis/example.org/v1/namespaces/ns/widgets",
        "/api/v1/pods",
    ] {
        server.get(uri).refused(404, "NotFound", message).await;
    }
}

#[tokio::test]
async fn methods_that_mean_nothing_here_are_not_allowed() {
    let server = server().await;
    server.make("a", json!({})).await;
    let message = "the server does not allow this method on the requested resource";
    for (method, uri) in [
        (Method::PUT, BASE.to_owned()),
        (Method::PATCH, BASE.to_owned()),
        (Method::OPTIONS, BASE.to_owned()),
        (Method::TRACE, format!("{BASE}/a")),
    ] {
        let status = server
            .ask(method.clone(), &uri)
            .header("content-type", "application/merge-patch+json")
            .raw("{}")
            .expect(405)
            .await;
        assert_eq!(
            (&status["reason"], &status["message"]),
            (&json!("MethodNotAllowed"), &json!(message)),
            "{method} {uri}"
        );
    }
}

#[tokio::test]
async fn who_has_no_right_is_told_what_they_lack_and_nothing_else() {
    let server = server().await;
    server.make("a", json!({})).await;
    let text = |place: &str, verb: &str| {
        format!(
            "widgets.example.org{place} is forbidden: User \"stranger\" cannot {verb} resource \"widgets\" in API group \"example.org\" at the cluster scope"
        )
    };
    for name in ["a", "b"] {
        let status = server
            .get(format!("{BASE}/{name}"))
            .by("stranger")
            .refused(403, "Forbidden", &text(&format!(" \"{name}\""), "get"))
            .await;
        assert_eq!(status["details"], json!({"name": name, "group": "example.org", "kind": "widgets"}));
    }
    server.get(BASE).by("stranger").refused(403, "Forbidden", &text("", "list")).await;
    server.get(format!("{BASE}?watch=1")).by("stranger").refused(403, "Forbidden", &text("", "watch")).await;
    server
        .post(BASE, &widget("a", json!({})))
        .by("stranger")
        .refused(403, "Forbidden", &text("", "create"))
        .await;
    server.delete(BASE).by("stranger").refused(403, "Forbidden", &text("", "deletecollection")).await;
    server
        .patch(format!("{BASE}/a"), "merge", &json!({}))
        .by("stranger")
        .refused(403, "Forbidden", &text(" \"a\"", "patch"))
        .await;
    let status = server.get("/apis").by("stranger").expect(403).await;
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .starts_with("forbidden: User \"stranger\" cannot get path \"/apis\""),
        "{status}"
    );
    server.get("/apis/nothing.org/v1/things/x").by("stranger").expect(403).await;
    let status = server.get(BASE).by("<b>stranger</b>").expect(403).await;
    let message = status["message"].as_str().unwrap();
    assert!(!message.contains('<') && message.ends_with(": no &amp; never"), "{message}");
    let status = server.get(BASE).by("broken").expect(500).await;
    assert!(!status.to_string().contains("10.1.2.3"), "nothing internal");
}

#[tokio::test]
async fn the_authorizer_is_asked_about_what_the_request_means() {
    let server = server().await;
    for (method, uri, verb, name) in [
        (Method::GET, format!("{BASE}/a?watch=1"), "get", "a"),
        (Method::GET, format!("{BASE}?fieldSelector=metadata.name%3Da"), "list", "a"),
        (
            Method::GET,
            format!("{BASE}?fieldSelector=metadata.name%3Da&watch=1&timeoutSeconds=1"),
            "watch",
            "a",
        ),
        (Method::GET, format!("{BASE}?watch=false"), "list", ""),
        (Method::DELETE, format!("{BASE}?limit=1"), "deletecollection", ""),
        (Method::PUT, format!("{BASE}/a"), "update", "a"),
        (Method::POST, "/apis/example.org/v1/things".to_owned(), "create", ""),
        (Method::GET, format!("{BASE}/a/status"), "get", "a"),
    ] {
        server.authorizer.asked.lock().clear();
        server.ask(method.clone(), &uri).send().await;
        let asked = server.authorizer.asked.lock().first().cloned().unwrap();
        assert_eq!(
            (asked.verb.as_str(), asked.name.as_str(), asked.group.as_str(), asked.version.as_str()),
            (verb, name, "example.org", "v1"),
            "{method} {uri}"
        );
    }
    assert_eq!(server.authorizer.asked.lock()[0].subresource, "status");
}

#[tokio::test]
async fn a_request_takes_no_longer_than_it_may() {
    let server = server().await;
    tokio::time::pause();
    let forever = || streamed(stream::pending());
    for (uri, seconds) in [
        (BASE.to_owned(), 34),
        (format!("{BASE}?timeout=10s"), 10),
        (format!("{BASE}?timeout=0s"), 34),
        (format!("{BASE}?timeout=2h"), 34),
    ] {
        let before = tokio::time::Instant::now();
        let reply = server.ask(Method::POST, &uri).send_body(forever()).await;
        assert_eq!((reply.code, before.elapsed().as_secs()), (504, seconds), "{uri}");
        let status = reply.json();
        assert_eq!(
            (&status["reason"], &status["message"]),
            (&json!("Timeout"), &json!("Timeout: request did not complete within the allotted timeout"))
        );
    }
    for bad in ["10", "x", "-5s", "1d", "1e3s"] {
        server
            .get(format!("{BASE}?timeout={bad}"))
            .refused_with(400, "BadRequest", "invalid timeout specified in the request URL - ")
            .await;
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_bad_request() {
    let server = server().await;
    let broken = streamed(stream::iter([Ok("{\"metadata\":".into()), Err(std::io::Error::other("reset"))]));
    assert_eq!(server.ask(Method::POST, BASE).send_body(broken).await.code, 400);
    let endless = streamed(stream::repeat_with(|| Ok(vec![b' '; 65536].into())));
    assert_eq!(server.ask(Method::POST, BASE).send_body(endless).await.code, 413);
}

#[tokio::test]
async fn a_credential_that_dies_while_its_body_arrives_does_nothing() {
    let server = server().await;
    let alive = server.alive.clone();
    let dying = stream::once(async move {
        alive.store(false, Ordering::SeqCst);
        Ok("{\"metadata\":{\"name\":\"a\"}}".into())
    });
    let reply = server.ask(Method::POST, BASE).send_body(streamed(dying)).await;
    assert_eq!((reply.code, reply.json()["message"].as_str()), (401, Some("Unauthorized")));
    server.alive.store(true, Ordering::SeqCst);
    server.get(format!("{BASE}/a")).expect(404).await;
}

#[tokio::test]
async fn what_the_server_made_up_is_listed_like_anything_else() {
    let server = server().await;
    let uri = "/api/v1/places";
    let list = server.get(uri).expect(200).await;
    assert_eq!(
        (&list["kind"], &list["apiVersion"], names(&list)),
        (&json!("PlaceList"), &json!("v1"), vec!["here".to_owned(), "there".to_owned()])
    );
    assert!(!version(&list).is_empty());
    assert_eq!(names(&server.get(format!("{uri}?labelSelector=near%3Dtrue")).expect(200).await), ["here"]);
    assert_eq!(
        names(&server.get(format!("{uri}?fieldSelector=metadata.name%3Dthere")).expect(200).await),
        ["there"]
    );
    assert_eq!(server.get(format!("{uri}/here")).expect(200).await["kind"], "Place");
    server.get(format!("{uri}/nowhere")).refused(404, "NotFound", "places \"nowhere\" not found").await;
    let table = server.get(uri).accept(TABLE).expect(200).await;
    assert_eq!(table["rows"][1]["cells"], json!(["there"]));
    assert_eq!(
        server.get(uri).accept(PARTIAL_LIST).expect(200).await["items"][0]["kind"],
        "PartialObjectMetadata"
    );
    server.get(format!("{uri}?watch=1")).expect(405).await;
    server.post(uri, &json!({})).expect(405).await;
    server.delete(format!("{uri}/here")).expect(405).await;
}

#[tokio::test]
async fn nothing_that_a_client_sends_makes_the_server_panic() {
    let server = server().await;
    server.make("a", json!({})).await;
    let odd = ["%00", "%ff", "a%2Fb", "..", "%2e%2e", "*", "a;b", "%C3%A4"];
    for name in odd {
        for method in [Method::GET, Method::DELETE, Method::PUT, Method::PATCH] {
            let Ok(uri) = format!("{BASE}/{name}").parse::<http::Uri>() else { continue };
            let reply = server.ask(method, uri.to_string()).raw("{}").send().await;
            assert!(reply.code >= 400 && reply.code < 500, "{name}: {}", reply.code);
        }
    }
    let query = format!("{BASE}?{}", "a=b&".repeat(5000));
    server.get(query).expect(200).await;
    for query in [
        "labelSelector=%ff",
        "fieldSelector=%5C",
        "continue=%ff",
        "limit=99999999999999999999",
        "resourceVersion=%ff",
        "watch=1&timeoutSeconds=99999999999999999999",
    ] {
        let code = server.get(format!("{BASE}?{query}")).send().await.code;
        assert!((400..500).contains(&code), "{query}: {code}");
    }
}
