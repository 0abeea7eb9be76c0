//! POST: names, metadata, validation, bodies of every sort.

use eartag_apiserver::Tree;
use eartag_storage::{Commit, Condition, Lane, Op};
use serde_json::json;
use std::sync::atomic::Ordering;

use crate::support::{BASE, GADGETS, PARTIAL, TABLE, names, server, version, widget};
use crate::widgets::WIDGETS;

#[tokio::test]
async fn a_new_object_has_what_the_server_gives_it() {
    let server = server().await;
    let reply = server
        .post(BASE, &widget("a", json!({"size": 3, "tags": ["x"]})))
        .header("user-agent", "toolbox/1.2 (x)")
        .send()
        .await;
    assert_eq!(reply.code, 201);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-cache, private");
    assert!(reply.text().ends_with("}\n"));
    let made = reply.json();
    assert_eq!((&made["kind"], &made["apiVersion"]), (&json!("Widget"), &json!("example.org/v1")));
    assert_eq!(made["spec"], json!({"size": 3, "tags": ["x"], "owner": "admin"}));
    assert_eq!(made["status"], json!({"weight": 31}));
    let metadata = &made["metadata"];
    assert_eq!(metadata["creationTimestamp"], "2026-05-28T20:26:40Z", "whole seconds, cut");
    assert_eq!(metadata["generation"], 1);
    assert_eq!(metadata["resourceVersion"], server.revision());
    assert_eq!(metadata["labels"], json!({"made-by": "admin"}));
    let uid = metadata["uid"].as_str().unwrap();
    assert!(uid.len() == 36 && uid.as_bytes()[14] == b'4' && uid == uid.to_lowercase(), "{uid}");
    let managed = &metadata["managedFields"][0];
    assert_eq!((&managed["manager"], &managed["operation"]), (&json!("toolbox"), &json!("Update")));
    assert_eq!(managed["fieldsV1"]["f:spec"]["f:size"], json!({}));
    assert_eq!(managed["fieldsV1"].get("f:status"), None, "nobody manages what is computed");
    assert_eq!(server.now("a").await, made);
}

#[tokio::test]
async fn what_only_the_server_may_set_is_wiped_on_create() {
    let server = server().await;
    let body = json!({"metadata": {"name": "a", "uid": "11111111-1111-4111-8111-111111111111", "generation": 9,
        "creationTimestamp": "2001-01-01T00:00:00Z", "deletionTimestamp": "2001-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 5, "selfLink": "/x", "namespace": "ns"}, "status": {"weight": 99}});
    let made = server.post(BASE, &body).expect(201).await;
    let metadata = made["metadata"].as_object().unwrap();
    assert_ne!(metadata["uid"], "11111111-1111-4111-8111-111111111111");
    assert_eq!(metadata["creationTimestamp"], "2026-05-28T20:26:40Z");
    assert_eq!(metadata["generation"], 1);
    for gone in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "namespace"] {
        assert!(!metadata.contains_key(gone), "{gone}");
    }
    assert_eq!(made["status"]["weight"], 0);
}

#[tokio::test]
async fn a_generated_name_has_five_characters_after_its_base() {
    let server = server().await;
    let made = server.post(BASE, &json!({"metadata": {"generateName": "w-"}})).expect(201).await;
    let name = made["metadata"]["name"].as_str().unwrap();
    let suffix = name.strip_prefix("w-").unwrap();
    assert_eq!(suffix.len(), 5);
    assert!(suffix.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)), "{suffix}");
    assert_eq!(made["metadata"]["generateName"], "w-");
    let long = "l".repeat(80);
    let made = server.post(BASE, &json!({"metadata": {"generateName": long}})).expect(201).await;
    let name = made["metadata"]["name"].as_str().unwrap();
    assert_eq!(name.len(), 63);
    assert!(name.starts_with(&"l".repeat(58)));
    let both =
        server.post(BASE, &json!({"metadata": {"name": "mine", "generateName": "w-"}})).expect(201).await;
    assert_eq!(both["metadata"]["name"], "mine");
}

#[tokio::test]
async fn a_collision_of_generated_names_is_tried_again() {
    let server = server().await;
    let body = json!({"metadata": {"generateName": "w-"}});
    server.world.repeat.store(2, Ordering::SeqCst);
    let first = server.post(BASE, &body).expect(201).await;
    server.world.repeat.store(2, Ordering::SeqCst);
    let second = server.post(BASE, &body).expect(201).await;
    assert_ne!(first["metadata"]["name"], second["metadata"]["name"]);
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
}

#[tokio::test]
async fn when_no_generated_name_is_free_the_client_shall_try_later() {
    let server = server().await;
    let body = json!({"metadata": {"generateName": "w-"}});
    server.world.repeat.store(usize::MAX, Ordering::SeqCst);
    server.post(BASE, &body).expect(201).await;
    let reply = server.post(BASE, &body).send().await;
    assert_eq!(reply.code, 409);
    assert_eq!(reply.header("retry-after"), "1");
    let status = reply.json();
    assert_eq!(status["reason"], "AlreadyExists");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    let message = status["message"].as_str().unwrap();
    assert!(
        message.ends_with("already exists, the server was not able to generate a unique name for the object"),
        "{message}"
    );
}

#[tokio::test]
async fn an_object_without_any_name_is_invalid() {
    let server = server().await;
    let message =
        "Widget.example.org \"\" is invalid: metadata.name: Required value: name or generateName is required";
    let status = server.post(BASE, &json!({"spec": {}})).refused(422, "Invalid", message).await;
    assert_eq!(status["details"]["kind"], "Widget");
    assert_eq!(
        status["details"]["causes"],
        json!([{"reason": "FieldValueRequired", "message": "Required value: name or generateName is required", "field": "metadata.name"}])
    );
}

#[tokio::test]
async fn names_that_no_url_could_carry_are_invalid() {
    let server = server().await;
    for name in ["A", "a_b", "-a", "a/b", ".", "..", "a%", "ä", &"a".repeat(254)] {
        let body = json!({"metadata": {"name": name}});
        let status =
            server.post(BASE, &body).refused_with(422, "Invalid", "metadata.name: Invalid value:").await;
        assert_eq!(status["details"]["causes"][0]["field"], "metadata.name", "{name}");
    }
    server.make(&"a".repeat(253), json!({})).await;
}

#[tokio::test]
async fn a_server_that_names_its_objects_says_so_to_who_named_one() {
    let server = server().await;
    let reply = server.post(GADGETS, &json!({"metadata": {"name": "mine"}})).send().await;
    assert_eq!(reply.code, 201);
    let warning = "299 - \"metadata.name is ignored: the name of a new object is always generated with the prefix \\\"gadget-\\\"\"";
    assert_eq!(reply.warnings(), [warning]);
    let made = reply.json();
    assert!(made["metadata"]["name"].as_str().unwrap().starts_with("gadget-"));
    assert_eq!(made["metadata"].get("generateName"), None);
}

#[tokio::test]
async fn a_taken_name_is_a_conflict() {
    let server = server().await;
    server.make("a", json!({})).await;
    let status = server
        .post(BASE, &widget("a", json!({})))
        .refused(409, "AlreadyExists", "widgets.example.org \"a\" already exists")
        .await;
    assert_eq!(status["details"], json!({"name": "a", "group": "example.org", "kind": "widgets"}));
    server.post(format!("{BASE}?dryRun=All"), &widget("a", json!({}))).expect(409).await;
}

#[tokio::test]
async fn a_name_whose_object_is_on_its_way_out_is_told_apart() {
    let server = server().await;
    let body = json!({"metadata": {"name": "a", "finalizers": ["example.org/hold"]}});
    server.post(BASE, &body).expect(201).await;
    server.delete(format!("{BASE}/a")).expect(200).await;
    let message = "object is being deleted: widgets.example.org \"a\" already exists";
    server.post(BASE, &widget("a", json!({}))).refused(409, "AlreadyExists", message).await;
}

#[tokio::test]
async fn of_two_who_create_the_same_name_at_once_one_wins() {
    let server = server().await;
    let rivals: Vec<_> =
        (0..16).map(|n| tokio::spawn(server.post(BASE, &widget("a", json!({"size": n}))).send())).collect();
    let mut codes = Vec::new();
    for rival in rivals {
        codes.push(rival.await.unwrap().code);
    }
    codes.sort_unstable();
    assert_eq!((codes[0], codes[1], codes[15]), (201, 409, 409));
}

#[tokio::test]
async fn a_create_that_loses_a_race_after_its_look_is_still_told_who_won() {
    let server = server().await;
    server.faults.race(Commit {
        conditions: vec![Condition::Absent { collection: WIDGETS, key: b"a".to_vec() }],
        ops: vec![Op::Put { collection: WIDGETS, key: b"a".to_vec(), value: b"x".to_vec() }],
        lane: Lane::Interactive,
    });
    server
        .post(BASE, &widget("a", json!({})))
        .refused(409, "AlreadyExists", "widgets.example.org \"a\" already exists")
        .await;
}

#[tokio::test]
async fn a_lost_answer_of_the_store_is_settled_by_looking() {
    let server = server().await;
    server.faults.unknown(1, true);
    let made = server.make("a", json!({"size": 1})).await;
    assert_eq!(server.now("a").await, made);
    server.faults.unknown(1, false);
    let reply = server.post(BASE, &widget("b", json!({}))).send().await;
    assert_eq!((reply.code, reply.json()["reason"].as_str()), (504, Some("Timeout")));
    server.get(format!("{BASE}/b")).expect(404).await;
    server.faults.unavailable(1);
    let reply = server.post(BASE, &widget("b", json!({}))).send().await;
    assert_eq!((reply.code, reply.header("retry-after")), (503, "1"));
}

#[tokio::test]
async fn a_resource_version_on_create_is_refused() {
    let server = server().await;
    let body = json!({"metadata": {"name": "a", "resourceVersion": "5"}});
    server
        .post(BASE, &body)
        .refused(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        .await;
    let empty = json!({"metadata": {"name": "a", "resourceVersion": ""}});
    server.post(BASE, &empty).expect(201).await;
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_and_stores_nothing() {
    let server = server().await;
    let before = server.revision();
    let uri = format!("{BASE}?dryRun=All");
    let reply = server.post(&uri, &widget("a", json!({"size": 2000, "colour": "gold"}))).send().await;
    assert_eq!(reply.code, 201);
    assert_eq!(reply.warnings(), ["299 - \"spec.size 2000 was cut to \\\"1000\\\"\""]);
    let shown = reply.json();
    assert_eq!(shown["spec"]["size"], 1000);
    assert_eq!(shown["status"], json!({"weight": 10000}), "no secret is minted");
    assert_eq!(shown["metadata"].get("resourceVersion"), None);
    assert!(shown["metadata"]["uid"].is_string() && shown["metadata"]["creationTimestamp"].is_string());
    assert_eq!(server.revision(), before);
    server.get(format!("{BASE}/a")).expect(404).await;
    let generated = server.post(&uri, &json!({"metadata": {"generateName": "w-"}})).expect(201).await;
    assert!(generated["metadata"]["name"].as_str().unwrap().starts_with("w-"));
    let message = "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": supported values: \"All\"";
    server
        .post(format!("{BASE}?dryRun=Some"), &widget("a", json!({})))
        .refused(422, "Invalid", message)
        .await;
}

#[tokio::test]
async fn a_secret_is_in_the_answer_to_its_create_and_nowhere_else() {
    let server = server().await;
    let from = server.revision();
    let body = widget("a", json!({"colour": "gold"}));
    let made = server.post(BASE, &body).expect(201).await;
    assert_eq!(made["status"]["key"], "opensesame");
    assert!(!made["metadata"].to_string().contains("key"), "managed fields do not name it");
    for uri in [format!("{BASE}/a"), BASE.to_owned()] {
        assert!(!server.get(uri).send().await.text().contains("opensesame"));
    }
    let mut events = server.get(format!("{BASE}?watch=1&resourceVersion={from}")).events().await;
    assert!(!events.due().await.1.to_string().contains("opensesame"));
    for form in [TABLE, PARTIAL] {
        let body = json!({"metadata": {"generateName": "g-"}, "spec": {"colour": "gold"}});
        let text =
            server.post(format!("{BASE}?includeObject=Object"), &body).accept(form).send().await.text();
        assert!(!text.contains("opensesame"), "{text}");
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_by_name() {
    let server = server().await;
    for (body, message) in [
        (
            json!({"apiVersion": "example.org/v2", "metadata": {"name": "a"}}),
            "the API version in the data (example.org/v2) does not match the expected API version (example.org/v1)",
        ),
        (
            json!({"kind": "Widgt", "metadata": {"name": "a"}}),
            "Widgt in version \"v1\" cannot be handled as a Widget: no kind \"Widgt\" is registered for version \"example.org/v1\"",
        ),
        (
            json!({"metadata": {"name": "a"}, "spec": {"size": "big"}}),
            "Widget in version \"v1\" cannot be handled as a Widget: json: cannot unmarshal string into Go struct field Widget.spec.size of type int64",
        ),
        (
            json!({"metadata": {"name": "a"}, "spec": {"size": 1.5}}),
            "Widget in version \"v1\" cannot be handled as a Widget: json: cannot unmarshal number 1.5 into Go struct field Widget.spec.size of type int64",
        ),
    ] {
        server.post(BASE, &body).refused(400, "BadRequest", message).await;
    }
    let beginning = "Widget in version \"v1\" cannot be handled as a Widget: ";
    server
        .post(BASE, &json!({"kind": 5, "metadata": {"name": "a"}}))
        .refused_with(400, "BadRequest", "cannot unmarshal number")
        .await;
    for body in [json!([]), json!(null), json!({"metadata": "a"})] {
        server.post(BASE, &body).refused_with(400, "BadRequest", beginning).await;
    }
    for bytes in ["", "{", "{\"a\":1}x", "\u{0}"] {
        server
            .post(BASE, &json!(null))
            .raw(bytes.to_owned())
            .refused_with(400, "BadRequest", beginning)
            .await;
    }
    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
    server.post(BASE, &json!(null)).raw(deep).refused_with(400, "BadRequest", beginning).await;
    assert!(names(&server.get(BASE).expect(200).await).is_empty(), "nothing of it was stored");
}

#[tokio::test]
async fn a_large_integer_keeps_its_digits() {
    let server = server().await;
    let made = server.post(BASE, &json!({"metadata": {"name": "a"}, "spec": {"parts": [{"name": "p", "count": 9_007_199_254_740_993i64}]}})).expect(201).await;
    assert_eq!(made["spec"]["parts"][0]["count"], 9_007_199_254_740_993i64);
}

const SLOPPY: &str =
    r#"{"metadata":{"name":"a"},"spec":{"size":1,"size":2,"foo":"x","Colour":"red"},"extra":1}"#;

#[tokio::test]
async fn strict_validation_names_unknown_and_repeated_fields() {
    let server = server().await;
    let status =
        server.post(format!("{BASE}?fieldValidation=Strict"), &json!(null)).raw(SLOPPY).expect(400).await;
    let message = status["message"].as_str().unwrap();
    let start = "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: ";
    let told = message.strip_prefix(start).unwrap_or_else(|| panic!("{message}"));
    for part in [
        "unknown field \"spec.foo\"",
        "unknown field \"spec.Colour\"",
        "unknown field \"extra\"",
        "duplicate field \"spec.size\"",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let clean = widget("a", json!({"size": 1}));
    server.post(format!("{BASE}?fieldValidation=Strict"), &clean).expect(201).await;
}

#[tokio::test]
async fn by_default_unknown_and_repeated_fields_are_warned_of_and_dropped() {
    let server = server().await;
    let reply = server.post(BASE, &json!(null)).raw(SLOPPY).send().await;
    assert_eq!(reply.code, 201);
    let mut warnings = reply.warnings();
    warnings.sort_unstable();
    assert_eq!(
        warnings,
        [
            "299 - \"duplicate field \\\"spec.size\\\"\"",
            "299 - \"unknown field \\\"extra\\\"\"",
            "299 - \"unknown field \\\"spec.Colour\\\"\"",
            "299 - \"unknown field \\\"spec.foo\\\"\"",
        ]
    );
    let made = reply.json();
    assert_eq!(made["spec"], json!({"size": 2, "owner": "admin"}), "the last one wins");
    assert_eq!(made.get("extra"), None);
}

#[tokio::test]
async fn ignored_unknown_fields_make_no_noise() {
    let server = server().await;
    let reply = server.post(format!("{BASE}?fieldValidation=Ignore"), &json!(null)).raw(SLOPPY).send().await;
    assert_eq!((reply.code, reply.warnings().len()), (201, 0));
    let message = "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Maybe\": supported values: \"Ignore\", \"Strict\", \"Warn\"";
    server
        .post(format!("{BASE}?fieldValidation=Maybe"), &widget("b", json!({})))
        .refused(422, "Invalid", message)
        .await;
}

#[tokio::test]
async fn a_body_above_three_mebibytes_is_too_large() {
    let server = server().await;
    let message = "Request entity too large: limit is 3145728";
    let big = " ".repeat(3 * 1024 * 1024 + 1);
    server.post(BASE, &json!(null)).raw(big).refused(413, "RequestEntityTooLarge", message).await;
    let fits = format!("{}{}", widget("a", json!({})), " ".repeat(3 * 1024 * 1024 - 200));
    server.post(BASE, &json!(null)).raw(fits).expect(201).await;
    let object = json!({"metadata": {"name": "b"}, "spec": {"colour": "x".repeat(600 * 1024)}});
    server.post(BASE, &object).refused_with(413, "RequestEntityTooLarge", "Request entity too large: ").await;
    server.get(format!("{BASE}/b")).expect(404).await;
}

#[tokio::test]
async fn bodies_are_json_without_a_content_type_and_yaml_with_one() {
    let server = server().await;
    let ask = server.ask(http::Method::POST, BASE);
    ask.raw(r#"{"metadata":{"name":"a"}}"#).expect(201).await;
    let yaml = "# a widget\nmetadata:\n  name: b\nspec:\n  size: 4\n  tags: [t, u]\n";
    for (name, content_type) in [("b", "application/yaml"), ("c", "application/yaml; charset=utf-8")] {
        let ask = server.ask(http::Method::POST, BASE).header("content-type", content_type);
        let made = ask.raw(yaml.replace("name: b", &format!("name: {name}"))).expect(201).await;
        assert_eq!(made["spec"], json!({"size": 4, "tags": ["t", "u"], "owner": "admin"}));
    }
    let ask = server.ask(http::Method::POST, BASE).header("content-type", "Application/JSON;charset=UTF-8");
    ask.raw(r#"{"metadata":{"name":"d"}}"#).expect(201).await;
    let ask = server
        .ask(http::Method::POST, format!("{BASE}?fieldValidation=Strict"))
        .header("content-type", "application/yaml");
    let twice = "metadata:\n  name: e\nspec:\n  size: 4\n  size: 5\n";
    ask.raw(twice)
        .refused_with(400, "BadRequest", "strict decoding error: duplicate field \"spec.size\"")
        .await;
    let ask = server.ask(http::Method::POST, BASE).header("content-type", "application/yaml");
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
    ask.raw(bomb).expect(400).await;
}

#[tokio::test]
async fn other_media_types_are_told_which_ones_are_read() {
    let server = server().await;
    let message = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf";
    for content_type in [
        "text/plain",
        "application/cbor",
        "application/vnd.kubernetes.protobuf",
        "multipart/form-data; boundary=x",
    ] {
        let ask = server.post(BASE, &widget("a", json!({}))).header("content-type", content_type);
        ask.refused(415, "UnsupportedMediaType", message).await;
    }
}

#[tokio::test]
async fn what_the_kind_refuses_is_named_by_field() {
    let server = server().await;
    let message = "Widget.example.org \"a\" is invalid: spec.size: Invalid value: -1: must be at least 0";
    let status = server.post(BASE, &widget("a", json!({"size": -1}))).refused(422, "Invalid", message).await;
    assert_eq!((&status["details"]["name"], &status["details"]["kind"]), (&json!("a"), &json!("Widget")));
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueInvalid");
    assert_eq!(status["details"]["causes"][0]["field"], "spec.size");
}

#[tokio::test]
async fn metadata_is_checked_on_create() {
    let server = server().await;
    for (metadata, field) in [
        (json!({"labels": {"a/b/c": "x"}}), "metadata.labels"),
        (json!({"labels": {"a": "white space"}}), "metadata.labels"),
        (json!({"annotations": {"": "x"}}), "metadata.annotations"),
        (json!({"annotations": {"a": "x".repeat(262_145)}}), "metadata.annotations"),
        (json!({"finalizers": ["orphan", "foregroundDeletion"]}), "metadata.finalizers"),
        (
            json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}),
            "metadata.ownerReferences.uid",
        ),
    ] {
        let mut body = json!({"metadata": metadata});
        body["metadata"]["name"] = "a".into();
        let status = server.post(BASE, &body).refused_with(422, "Invalid", field).await;
        assert_eq!(status["details"]["kind"], "Widget");
    }
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"});
    let body = json!({"metadata": {"name": "a", "ownerReferences": [owner, owner]}});
    let reply = server.post(BASE, &body).send().await;
    assert_eq!(reply.json()["metadata"]["ownerReferences"], json!([owner]));
    assert!(reply.warnings()[0].contains(".metadata.ownerReferences contains duplicate entries"));
}

#[tokio::test]
async fn a_field_manager_is_printable_and_short() {
    let server = server().await;
    let manager = |object: &Tree| object["metadata"]["managedFields"][0]["manager"].clone();
    let named = server.post(format!("{BASE}?fieldManager=me"), &widget("a", json!({}))).expect(201).await;
    assert_eq!(manager(&named), "me");
    let agent = format!("{}/1", "p".repeat(100));
    let long = server.post(BASE, &widget("b", json!({}))).header("user-agent", &agent).expect(201).await;
    assert_eq!(manager(&long), "p".repeat(100), "a program's name stands in, up to 128 characters");
    let uri = format!("{BASE}?fieldManager={}", "x".repeat(129));
    server
        .post(uri, &widget("c", json!({})))
        .refused_with(422, "Invalid", "fieldManager: Too long: may not be more than 128 bytes")
        .await;
    server
        .post(format!("{BASE}?fieldManager=a%01b"), &widget("c", json!({})))
        .refused_with(422, "Invalid", "should only contain printable characters")
        .await;
}

#[tokio::test]
async fn a_create_can_answer_with_a_table_or_bare_metadata() {
    let server = server().await;
    let table = server.post(BASE, &widget("a", json!({"size": 7}))).accept(TABLE).expect(201).await;
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["rows"][0]["cells"], json!(["a", 7, ""]));
    let partial = server.post(BASE, &widget("b", json!({}))).accept(PARTIAL).expect(201).await;
    assert_eq!(
        (partial["kind"].as_str(), version(&partial)),
        (Some("PartialObjectMetadata"), server.revision())
    );
    assert_eq!(partial.get("spec"), None);
}

#[tokio::test]
async fn posting_to_a_name_is_not_allowed() {
    let server = server().await;
    let message = "the server does not allow this method on the requested resource";
    server.post(format!("{BASE}/a"), &widget("a", json!({}))).refused(405, "MethodNotAllowed", message).await;
}
