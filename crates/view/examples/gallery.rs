//! Writes every page, made from sample documents, into a directory: `cargo run -p eartag-view --example gallery -- DIR`.

#![expect(clippy::indexing_slicing, reason = "sample documents of this file")]

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use eartag_view::pages::{self, Login, Outcome};
use eartag_view::{Lang, Page, assets};
use serde_json::{Value, json};

const BASE: &str = "https://tokens.example.org";
/// 2026-03-02T09:15:04Z
const NOW_MS: i64 = 1_772_442_904_000;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args().nth(1).ok_or("which directory?")?;
    let dir = Path::new(&dir);
    for name in [assets::STYLE, assets::ICON] {
        let asset = assets::find(&assets::url(name)).ok_or("an asset is missing")?;
        let path = dir.join(name);
        fs::create_dir_all(dir)?;
        fs::write(path, asset.bytes)?;
    }
    for lang in Lang::ALL {
        for (name, html) in all(lang) {
            // Files have no server: the assets lie beside them.
            let html = [assets::STYLE, assets::ICON].iter().fold(html, |h, n| h.replace(&assets::url(n), n));
            fs::write(dir.join(format!("{name}.{}.html", lang.name())), html)?;
        }
    }
    Ok(())
}

fn all(lang: Lang) -> Vec<(&'static str, String)> {
    let page = |path: &'static str| Page {
        lang,
        now_ms: NOW_MS,
        base: BASE,
        path,
        query: &[],
        csrf: "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
        user_id: "u-ann42",
        user_name: "Ann",
    };
    let query = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
    };
    let (tokens, one, settings) = ("/v3/tokens", "/v3/tokens/token-8xk2p", "/v3/settings");
    let everybody = query(&[
        ("userId", "*"),
        ("description_ne", "old"),
        ("sort", "expiresAt"),
        ("order", "desc"),
        ("limit", "100"),
    ]);
    let schema = token_schema();
    let item = token("token-8xk2p", "ci deploy key", 7_776_000_000, "2026-05-31T09:15:04Z");
    let session = token("token-l5wq9", "", 57_600_000, "2026-03-03T01:15:04Z");
    let hostile = token(
        "token-evil1",
        "<script>alert(1)</script> \u{202e}gnirts\u{202c} \u{0}\u{7} https://evil.example/v3 \"'>& עברית 长长长长长长长长",
        0,
        "",
    );
    let mut current = session.clone();
    current["current"] = true.into();
    let mut created = item.clone();
    created["token"] = "token-8xk2p:q7wz2m4k9v5t8x6c4b2n7l5j8h6g4f9d2s7r5p8z6x4w9v2t7k5m8q".into();
    let invalid = json!({"baseType": "error", "type": "error", "code": "InvalidFormat", "fieldName": "ttl", "message": "ttl must be of type int", "status": 422});
    let posted = query(&[("description", "nightly"), ("ttl", "90 days")]);
    let missing = json!({"baseType": "error", "type": "error", "code": "NotFound", "message": "tokens.management.cattle.io \"token-zzzzz\" not found", "status": 404});
    let unauthorized =
        json!({"type": "error", "code": "Unauthorized", "message": "authentication failed", "status": 401});
    let sent = json!({"description": "ci deploy key", "ttl": 86_400_000_000_i64});
    let warnings = ["ttl was cut from 86400000000 to 7776000000 milliseconds, the maximum".to_owned()];
    let nobody = Page { user_id: "", user_name: "", ..page("/login") };
    vec![
        ("root", pages::root(&page("/v3"), &root())),
        (
            "tokens",
            pages::collection(
                &page(tokens),
                &collection(&[current.clone(), item.clone()]),
                Some(&schema),
                false,
            ),
        ),
        (
            "tokens-all",
            pages::collection(
                &Page { query: &everybody, ..page(tokens) },
                &many(&current, &hostile),
                Some(&schema),
                true,
            ),
        ),
        ("tokens-none", pages::collection(&page(tokens), &collection(&[]), Some(&schema), true)),
        ("token", pages::resource(&page(one), &item, Some(&schema))),
        ("token-hostile", pages::resource(&page("/v3/tokens/token-evil1"), &hostile, Some(&schema))),
        ("token-create", pages::create(&page(tokens), &schema, None)),
        ("token-refused", pages::create(&page(tokens), &schema, Some((&posted, &invalid)))),
        ("token-edit", pages::edit(&page(one), &item, &schema, None)),
        ("token-delete", pages::confirm_delete(&page(one), &item, Some(&schema))),
        (
            "token-delete-current",
            pages::confirm_delete(&page("/v3/tokens/token-l5wq9"), &current, Some(&schema)),
        ),
        (
            "token-created",
            pages::result(
                &page(tokens),
                &Outcome {
                    method: "POST",
                    target: tokens,
                    sent: Some(&sent),
                    status: 201,
                    body: Some(&created),
                    warnings: &warnings,
                },
                Some(&schema),
            ),
        ),
        (
            "token-deleted",
            pages::result(
                &page(one),
                &Outcome {
                    method: "DELETE",
                    target: one,
                    sent: None,
                    status: 204,
                    body: None,
                    warnings: &[],
                },
                Some(&schema),
            ),
        ),
        (
            "token-gone",
            pages::result(
                &page(one),
                &Outcome {
                    method: "DELETE",
                    target: one,
                    sent: None,
                    status: 404,
                    body: Some(&missing),
                    warnings: &[],
                },
                Some(&schema),
            ),
        ),
        (
            "action",
            pages::confirm_action(
                &page("/v3/users"),
                &json!({"resourceType": "user", "actions": {"changepassword": "x"}}),
                "changepassword",
                Some(&change_password()),
                None,
            ),
        ),
        (
            "settings",
            pages::collection(&page(settings), &settings_collection(), Some(&setting_schema()), true),
        ),
        (
            "setting",
            pages::resource(
                &page("/v3/settings/auth-token-max-ttl-minutes"),
                &setting("auth-token-max-ttl-minutes", "129600", "129600"),
                Some(&setting_schema()),
            ),
        ),
        (
            "setting-edit",
            pages::edit(
                &page("/v3/settings/auth-token-max-ttl-minutes"),
                &setting("auth-token-max-ttl-minutes", "43200", "129600"),
                &setting_schema(),
                None,
            ),
        ),
        ("schema", pages::resource(&page("/v3/schemas/token"), &schema, None)),
        ("login", pages::login(&nobody, &Login { next: "/v3/tokens", ..Login::default() })),
        (
            "login-failed",
            pages::login(
                &nobody,
                &Login {
                    username: "ann",
                    next: "/v3/tokens",
                    refused: Some((401, &unauthorized)),
                    ..Login::default()
                },
            ),
        ),
        ("error-404", pages::error(&page("/v3/tokens/token-zzzzz"), 404, &missing)),
        (
            "error-403",
            pages::error(
                &page(settings),
                403,
                &json!({"type": "error", "code": "PermissionDenied", "status": 403, "message": "settings.management.cattle.io is forbidden: User \"u-ann42\" cannot list resource \"settings\""}),
            ),
        ),
    ]
}

fn token(id: &str, description: &str, ttl: i64, expires: &str) -> Value {
    let url = format!("{BASE}/v3/tokens/{id}");
    json!({
        "authProvider": "local", "baseType": "token", "type": "token", "clusterId": null, "created": "2026-03-02T08:15:04Z", "createdTS": 1_772_439_304_000_i64,
        "creatorId": null, "current": false, "description": description, "enabled": true, "expired": false, "expiresAt": expires, "id": id, "isDerived": true,
        "labels": {"authn.management.cattle.io/token-userId": "u-ann42"}, "lastUsedAt": "2026-03-02T09:11:00Z", "lastUsedAtTS": 1_772_442_660_000_i64,
        "links": {"self": url, "update": url, "remove": url}, "name": id, "ttl": ttl, "userId": "u-ann42", "uuid": "5f0c7d4e-0000-4000-8000-000000000001",
        "userPrincipal": "map[displayName:Ann loginName:ann me:true metadata:map[creationTimestamp:<nil> name:local://u-ann42] principalType:user provider:local]",
    })
}

fn collection(data: &[Value]) -> Value {
    let url = format!("{BASE}/v3/tokens");
    json!({
        "type": "collection", "resourceType": "token", "links": {"self": url}, "createTypes": {"token": url}, "actions": {}, "pagination": {"limit": 100},
        "sort": {"order": "asc", "reverse": format!("{url}?order=desc"), "links": {
            "authProvider": format!("{url}?sort=authProvider"), "description": format!("{url}?sort=description"), "expiresAt": format!("{url}?sort=expiresAt")}},
        "filters": {"authProvider": null, "clusterId": null, "created": null, "current": null, "description": null, "enabled": null, "expired": null, "isDerived": null, "name": null, "ttl": null, "userId": null},
        "data": data,
    })
}

fn many(current: &Value, hostile: &Value) -> Value {
    let kinds = ["kubectl-shell", "agent", "compose", "helm", "telemetry", "drain-node"];
    let mut data = vec![current.clone()];
    for (at, kind) in kinds.iter().enumerate() {
        let mut item = token(&format!("{kind}-user-vqkqt"), &format!("token for {kind}"), 0, "");
        item["labels"]["authn.management.cattle.io/kind"] = (*kind).into();
        item["userId"] = format!("user-{at}").into();
        item["lastUsedAt"] = Value::Null;
        data.push(item);
    }
    let mut off = token("token-4f7zp", "laptop", 2_592_000_000, "2026-02-01T09:15:04Z");
    off["expired"] = true.into();
    off["enabled"] = false.into();
    data.push(off);
    data.push(hostile.clone());
    let mut collection = collection(&data);
    collection["pagination"] = json!({"limit": 100, "partial": true, "next": format!("{BASE}/v3/tokens?userId=%2A&marker=token-evil1&limit=100")});
    collection["filters"]["description"] = json!([{"modifier": "ne", "value": "old"}]);
    collection
}

fn token_schema() -> Value {
    let field = |kind: &str, create: bool, update: bool, about: &str| json!({"type": kind, "create": create, "update": update, "nullable": true, "description": about});
    json!({
        "id": "token", "type": "schema", "baseType": "schema", "pluralName": "tokens",
        "links": {"self": format!("{BASE}/v3/schemas/token"), "collection": format!("{BASE}/v3/tokens")},
        "collectionMethods": ["GET", "POST"], "resourceMethods": ["GET", "PUT", "DELETE"],
        "collectionActions": {"logout": {}, "logoutAll": {}}, "resourceActions": {},
        "resourceFields": {
            "id": field("string", false, false, "The name in URLs."), "name": field("dnsLabel", false, false, "The name."),
            "description": field("string", true, true, "What the token is for."), "ttl": field("int", true, true, "Milliseconds to live."),
            "clusterId": field("reference[cluster]", true, false, "The one cluster it is good for."), "enabled": field("boolean", false, true, "Whether it may be used."),
            "userId": field("reference[user]", false, false, "Whose it is."), "created": field("date", false, false, "When it was created."),
            "expiresAt": field("string", false, false, "When it expires."), "lastUsedAt": field("date", false, false, "When it was last used."),
            "labels": field("map[string]", true, true, "Marks to select by."), "annotations": field("map[string]", true, true, "Free notes for programs."),
            "expired": field("boolean", false, false, "Whether it has expired."), "current": field("boolean", false, false, "Whether it is this session's."),
        },
        "collectionFilters": {},
    })
}

fn change_password() -> Value {
    let field = json!({"type": "password", "create": true, "required": true, "description": ""});
    json!({"id": "changePasswordInput", "type": "schema", "resourceFields": {"currentPassword": field, "newPassword": field}})
}

fn setting(name: &str, value: &str, default: &str) -> Value {
    let url = format!("{BASE}/v3/settings/{name}");
    json!({"baseType": "setting", "type": "setting", "id": name, "name": name, "value": value, "default": default, "customized": value != default, "source": if value == default { "default" } else { "db" },
        "created": "2026-01-02T08:15:04Z", "links": {"self": url, "update": url}})
}

fn settings_collection() -> Value {
    let data = [
        ("auth-token-max-ttl-minutes", "43200", "129600"),
        ("auth-user-session-idle-ttl-minutes", "960", "960"),
        ("auth-user-session-ttl-minutes", "960", "960"),
        ("delete-inactive-user-after", "", ""),
        ("kubeconfig-default-token-ttl-minutes", "0", "0"),
        ("kubeconfig-generate-token", "true", "true"),
        ("password-min-length", "12", "12"),
        ("user-retention-cron", "", ""),
    ]
    .map(|(name, value, default)| setting(name, value, default));
    json!({"type": "collection", "resourceType": "setting", "links": {"self": format!("{BASE}/v3/settings")}, "actions": {}, "pagination": {"limit": 100},
        "sort": {"order": "asc", "links": {"value": format!("{BASE}/v3/settings?sort=value")}}, "filters": {"name": null, "value": null, "source": null}, "data": data})
}

fn setting_schema() -> Value {
    let field = |kind: &str, update: bool| json!({"type": kind, "create": false, "update": update, "required": update, "description": "x"});
    json!({"id": "setting", "type": "schema", "pluralName": "settings", "collectionMethods": ["GET"], "resourceMethods": ["GET", "PUT"], "collectionActions": {}, "resourceActions": {},
        "resourceFields": {"value": field("string", true), "default": field("string", false), "source": field("string", false), "customized": field("boolean", false), "name": field("dnsLabel", false)}})
}

fn root() -> Value {
    let link = |name: &str| format!("{BASE}/v3/{name}");
    json!({"type": "apiRoot", "baseType": "apiRoot", "apiVersion": {"group": "management.cattle.io", "path": "/v3", "version": "v3"}, "links": {
        "self": format!("{BASE}/v3"), "tokens": link("tokens"), "users": link("users"), "settings": link("settings"), "features": link("features"),
        "globalRoles": link("globalRoles"), "globalRoleBindings": link("globalRoleBindings"), "clusters": link("clusters"), "projects": link("projects"), "schemas": link("schemas")}})
}
