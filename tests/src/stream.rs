//! A watch, read line by line while the test goes on.

use std::io::{BufRead, BufReader};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{Http, text};
use crate::server::Server;
use crate::wait::PATIENCE;

/// An open watch.
pub struct Stream {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    lines: Receiver<Result<String, String>>,
    agent: Option<ureq::Agent>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: String,
    pub object: Value,
}

impl Event {
    pub fn name(&self) -> String {
        self.object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
    }

    pub fn revision(&self) -> u64 {
        text(&self.object["metadata"]["resourceVersion"]).parse().expect("a decimal resourceVersion")
    }
}

impl Stream {
    /// Starts to read; `path` has the whole query. The connection is its own.
    pub fn open(server: &Server, http: &Http, path: &str) -> Stream {
        let agent = crate::http::agent(&server.ca_file(), None, None);
        let mut request = ureq::http::Request::builder().method("GET").uri(format!("{}{path}", http.base()));
        for (name, value) in http.headers() {
            request = request.header(name, value);
        }
        let response =
            agent.run(request.body(()).expect("a request")).unwrap_or_else(|e| panic!("GET {path}: {e}"));
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect();
        let (to, lines) = channel();
        let tape = http.tape().clone();
        let what = format!("event of GET {path}");
        std::thread::spawn(move || {
            let mut body = BufReader::new(response.into_body().into_reader());
            loop {
                let mut line = String::new();
                let read = match body.read_line(&mut line) {
                    Ok(0) => return,
                    Ok(_) => Ok(line),
                    Err(error) => Err(error.to_string()),
                };
                if let Ok(line) = &read {
                    tape.note(what.clone(), line.as_bytes());
                }
                let over = read.is_err();
                if to.send(read).is_err() || over {
                    return;
                }
            }
        });
        Stream { status, headers, lines, agent: Some(agent) }
    }

    /// The next event.
    #[track_caller]
    pub fn next(&self) -> Event {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(Ok(line)) => event(&line),
            Ok(Err(error)) => panic!("the watch broke: {error}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the watch ended where an event was expected"),
            Err(RecvTimeoutError::Timeout) => panic!("no event in {PATIENCE:?}"),
        }
    }

    /// The next event that is no bookmark.
    #[track_caller]
    pub fn next_change(&self) -> Event {
        loop {
            let event = self.next();
            if event.kind != "BOOKMARK" {
                return event;
            }
        }
    }

    /// Wants no event for this long.
    #[track_caller]
    pub fn quiet(&self, time: Duration) {
        match self.lines.recv_timeout(time) {
            Ok(line) => panic!("an event where none was expected: {line:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the watch ended"),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }

    /// Reads to the end; wants it to come by itself and cleanly.
    #[track_caller]
    pub fn rest(&self) -> Vec<Event> {
        let end = Instant::now() + PATIENCE;
        let mut events = Vec::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Ok(line)) => events.push(event(&line)),
                Ok(Err(error)) => panic!("the watch broke instead of ending: {error}"),
                Err(RecvTimeoutError::Disconnected) => return events,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the watch did not end in {PATIENCE:?}; so far {events:?}")
                }
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.shutdown();
        }
    }
}

#[track_caller]
fn event(line: &str) -> Event {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("not an event ({e}): {line}"));
    Event { kind: text(&value["type"]), object: value["object"].clone() }
}
