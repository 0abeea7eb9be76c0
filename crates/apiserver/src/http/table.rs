//! Objects as rows of a `Table`, and as bare metadata.

use serde_json::{Value, json};

use crate::info::ResourceInfo;
use crate::kind::{Cx, Kind};
use crate::media::MetaVersion;
use crate::refusal::Refusal;
use crate::{Map, Tree};

/// What a row carries of its object (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// Reads the query parameter.
    pub fn parse(text: &str) -> Result<Include, Refusal> {
        match text {
            "" | "Metadata" => Ok(Include::Metadata),
            "None" => Ok(Include::None),
            "Object" => Ok(Include::Object),
            other => Err(Refusal::BadRequest(format!("unrecognized includeObject value: {other:?}"))),
        }
    }
}

/// The columns, the name first.
pub fn columns(info: &ResourceInfo) -> Tree {
    let columns = info.columns.iter().map(|c| {
        json!({"name": c.name, "type": c.kind, "format": c.format, "description": c.description, "priority": c.priority})
    });
    Value::Array(columns.collect())
}

/// One row of a shown object.
pub fn row(kind: &dyn Kind, object: &Tree, cx: &Cx, include: Include, version: MetaVersion) -> Tree {
    row_of(kind.row(object, cx), object, include, version)
}

/// A row of these cells.
pub fn row_of(cells: Vec<Tree>, object: &Tree, include: Include, version: MetaVersion) -> Tree {
    let mut row = Map::new();
    row.insert("cells".to_owned(), Value::Array(cells));
    match include {
        Include::None => {}
        Include::Metadata => drop(row.insert("object".to_owned(), partial(object, version))),
        Include::Object => drop(row.insert("object".to_owned(), object.clone())),
    }
    Value::Object(row)
}

/// A bookmark's row: its revision and annotations travel even when rows carry no object (spec T11).
pub fn bookmark_row(info: &ResourceInfo, object: &Tree, version: MetaVersion) -> Tree {
    let cells = info.columns.iter().map(|_| Value::String(String::new())).collect();
    row_of(cells, object, Include::Metadata, version)
}

/// A whole table of given rows.
pub fn table(columns: Option<Tree>, rows: Vec<Tree>, metadata: Tree, version: MetaVersion) -> Tree {
    json!({
        "kind": "Table", "apiVersion": version.api_version(), "metadata": metadata,
        "columnDefinitions": columns.unwrap_or_else(|| Value::Array(Vec::new())), "rows": rows,
    })
}

/// The object's metadata as an object of its own.
pub fn partial(object: &Tree, version: MetaVersion) -> Tree {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": version.api_version(),
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}
