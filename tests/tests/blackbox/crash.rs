//! G4: what was answered with success survives kill -9.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use eartag_tests::http::text;
use eartag_tests::people::token;
use eartag_tests::wait::PATIENCE;
use eartag_tests::{Server, TOKENS};
use serde_json::json;

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let mut server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let highest = AtomicU64::new(0);
    for round in 0..3 {
        let (made, gone) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let (made, gone, stop, highest, http) = (&made, &gone, &stop, &highest, ann.http.clone());
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let Ok(reply) = http.try_send("POST", TOKENS, "application/json", Some(b"{}")) else {
                            return;
                        };
                        if reply.status != 201 {
                            return;
                        }
                        let object = reply.json();
                        let revision = text(&object["metadata"]["resourceVersion"]).parse().unwrap();
                        highest.fetch_max(revision, Ordering::Relaxed);
                        let (name, bearer) =
                            (text(&object["metadata"]["name"]), text(&object["status"]["bearerToken"]));
                        // Some workers also delete: that must stay so, too.
                        if worker % 4 == 0 {
                            let Ok(reply) = http.try_send("DELETE", &token(&name), "", None) else { return };
                            if reply.status == 200 {
                                gone.lock().unwrap().push((name, bearer));
                            }
                        } else {
                            made.lock().unwrap().push((name, bearer));
                        }
                    }
                });
            }
            eartag_tests::wait::until("a few writes", PATIENCE, || {
                (made.lock().unwrap().len() > 50).then_some(())
            });
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        server.launch();
        let (made, gone) = (made.into_inner().unwrap(), gone.into_inner().unwrap());
        eprintln!("round {round}: {} tokens made, {} deleted", made.len(), gone.len());
        let (plain, owner) = (server.anonymous(), server.admin());
        for (name, bearer) in &made {
            owner.http.get(&token(name)).want(200);
            assert_eq!(plain.bearer(bearer).whoami(), Some(ann.id.clone()), "{name}");
        }
        for (name, bearer) in &gone {
            owner.http.get(&token(name)).refused(404, "NotFound");
            assert_eq!(plain.bearer(bearer).whoami(), None, "{name}");
        }
        let now = owner.http.revision(TOKENS);
        assert!(now >= highest.load(Ordering::Relaxed), "the revision went back: {now}");
        assert_eq!(owner.id, admin.id);
    }
}

#[test]
fn a_kill_during_the_first_start_leaves_nothing_that_a_start_does_not_finish() {
    let mut server = Server::start();
    let admin = server.admin();
    server.kill();
    // The files may be missing, as after a crash between the store's commit and theirs.
    for file in ["kubeconfig/admin.yaml", "kubeconfig/system-admin.yaml", "tls/ca.crt"] {
        std::fs::remove_file(server.data().join(file)).unwrap();
    }
    server.launch();
    let again = server.admin();
    assert_eq!(again.id, admin.id);
    assert_eq!(server.system_admin_http().get(TOKENS).status, 200);
    let old = server.anonymous().bearer(&admin.bearer);
    let _ = old.whoami();
    let created = again.http.post(TOKENS, &json!({})).want(201);
    assert!(created["status"]["value"].is_string());
}

#[test]
fn usage_and_sessions_survive_a_graceful_restart() {
    let mut server = Server::start();
    let ann = server.person("ann", &["user"]);
    let minted = ann.mint(json!({}));
    assert!(server.anonymous().bearer(&minted.bearer).whoami().is_some());
    let used = ann.http.get(&token(&minted.name)).want(200)["status"]["lastUsedAt"].clone();
    assert!(used.is_string());
    assert!(server.terminate().success());
    server.launch();
    let shown = server.admin().http.get(&token(&minted.name)).want(200);
    assert_eq!(shown["status"]["lastUsedAt"], used);
    assert_eq!(server.anonymous().bearer(&ann.bearer).whoami(), Some(ann.id.clone()));
}
