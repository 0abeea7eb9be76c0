//! A stand-in for a kubelet: an HTTPS server behind a Node object, which has one container. It speaks as much of the streaming protocols as `kubectl logs`,
//! `exec`, `attach` and `port-forward` need: chunked logs, WebSocket (`v5.channel.k8s.io`, `v4.channel.k8s.io`) and SPDY/3.1 (`v4.channel.k8s.io`,
//! `portforward.k8s.io`).
//!
//! Its container's log begins with [`LOG`]; with `follow` a second line comes once [`Kubelet::log_more`] is called. Whatever runs in it echoes its standard
//! input and ends with it; without one it says [`LOG`] and ends. What it was asked is kept.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::kube_pki::Authority;
use crate::kubectl::Kubectl;
use crate::wait;
use crate::wait::PATIENCE;

/// The first line of the container's log, and what runs say.
pub const LOG: &str = "a line from the container";
/// The line that comes later.
pub const LATER: &str = "one more line";

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// A running one.
pub struct Kubelet {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Vec<String>>,
    more: AtomicBool,
    /// Connections that were upgraded and have not ended.
    open: Mutex<usize>,
}

impl Kubelet {
    /// One that listens. API servers do not check a kubelet's certificate unless they are told to.
    pub fn start() -> Kubelet {
        let pair = Authority::new("kubelet").server(&["127.0.0.1"]);
        let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("protocol versions")
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .expect("a certificate with its key");
        let (config, shared) = (Arc::new(config), Arc::new(Shared::default()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let served = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, shared) = (config.clone(), served.clone());
                std::thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(PATIENCE));
                    let connection = ServerConnection::new(config).expect("a TLS connection");
                    let _ = serve(StreamOwned::new(connection, stream), &shared);
                });
            }
        });
        Kubelet { address, shared }
    }

    /// Makes the node `stand-in` and on it the pod `pod` in `default`, with the container `main`.
    pub fn join(&self, admin: &Kubectl) {
        let port = self.address.port();
        admin.create("apiVersion: v1\nkind: Node\nmetadata:\n  name: stand-in\n");
        let status = format!(
            r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"stand-in"}},"status":{{
                "addresses":[{{"type":"InternalIP","address":"127.0.0.1"}}],
                "daemonEndpoints":{{"kubeletEndpoint":{{"Port":{port}}}}}}}}}"#
        );
        let file = admin.file("node.json", &status);
        admin.ok(&["replace", "--raw", "/api/v1/nodes/stand-in/status", "-f", &file]);
        admin.create(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: pod\n  namespace: default\nspec:\n  nodeName: stand-in\n  \
             containers:\n  - name: main\n    image: none\n",
        );
        // As the kubelet would say; ports are forwarded to running pods only.
        let pod = admin.ok(&["get", "pod", "pod", "-o", "json"]);
        let mut pod: serde_json::Value = serde_json::from_str(&pod).expect("a pod");
        pod["status"] = serde_json::json!({"phase": "Running"});
        let file = admin.file("pod.json", &pod.to_string());
        admin.ok(&["replace", "--raw", "/api/v1/namespaces/default/pods/pod/status", "-f", &file]);
    }

    /// Lets those who follow the log have their second line.
    pub fn log_more(&self) {
        self.shared.more.store(true, Ordering::SeqCst);
    }

    /// The requests so far: `GET /path upgrade`.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().expect("a lock").clone()
    }

    /// Upgraded connections that have not ended.
    pub fn open(&self) -> usize {
        *self.shared.open.lock().expect("a lock")
    }
}

struct Head {
    line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn get(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, v)| v)
    }
}

fn serve(stream: Tls, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let head = read_head(&mut stream)?;
    let upgrade = head.get("upgrade").to_ascii_lowercase();
    shared.asked.lock().expect("a lock").push(format!("{} {upgrade}", head.line).trim_end().to_owned());
    if !upgrade.is_empty() {
        *shared.open.lock().expect("a lock") += 1;
    }
    let result = match (head.line.contains(" /containerLogs/"), upgrade.as_str()) {
        (true, _) => logs(&mut stream, head.line.contains("follow=true"), shared),
        (false, "websocket") => websocket(&mut stream, &head),
        (false, "spdy/3.1") if head.line.contains(" /portForward/") => port_forward(&mut stream),
        (false, "spdy/3.1") => spdy(&mut stream, head.line.contains("input=1")),
        _ => stream
            .get_mut()
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    };
    let tls = stream.get_mut();
    tls.conn.send_close_notify();
    let _ = tls.flush();
    // Closed with something unread, a connection is reset, and what was written last may be lost. So the other end closes it.
    let _ = tls.sock.shutdown(Shutdown::Write);
    let _ = io::copy(&mut stream, &mut io::sink());
    if !upgrade.is_empty() {
        *shared.open.lock().expect("a lock") -= 1;
    }
    result
}

fn read_head(stream: &mut BufReader<Tls>) -> io::Result<Head> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next().unwrap_or_default().replace(" HTTP/1.1", "");
    let headers = lines
        .filter_map(|line| line.split_once(':').map(|(n, v)| (n.to_owned(), v.trim().to_owned())))
        .collect();
    Ok(Head { line, headers })
}

fn logs(stream: &mut BufReader<Tls>, follow: bool, shared: &Shared) -> io::Result<()> {
    let stream = stream.get_mut();
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{head}{}", chunk(&format!("{LOG}\n"))).as_bytes())?;
    stream.flush()?;
    if follow {
        wait::until("the second line", PATIENCE, || shared.more.load(Ordering::SeqCst).then_some(()));
        stream.write_all(chunk(&format!("{LATER}\n")).as_bytes())?;
    }
    stream.write_all(b"0\r\n\r\n")
}

const SUCCESS: &[u8] = br#"{"metadata":{},"status":"Success"}"#;

/// Frames: the first byte is the channel. 0 standard input, 1 output, 2 errors, 3 the end, 255 closes another (v5).
fn websocket(stream: &mut BufReader<Tls>, head: &Head) -> io::Result<()> {
    let offered = head.get("sec-websocket-protocol");
    let protocol = ["v5.channel.k8s.io", "v4.channel.k8s.io"].into_iter().find(|p| offered.contains(p));
    let Some(protocol) = protocol else {
        return stream.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    };
    let key = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", head.get("sec-websocket-key"));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    let accept = STANDARD.encode(digest);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    stream.get_mut().write_all(answer.as_bytes())?;
    stream.get_mut().flush()?;
    let say = |stream: &mut BufReader<Tls>, channel: u8, data: &[u8]| {
        let mut payload = vec![channel];
        payload.extend_from_slice(data);
        websocket_frame(stream, 2, &payload)
    };
    if head.line.contains("stdin=true") || head.line.contains("input=1") {
        loop {
            match websocket_read(stream)? {
                (2, payload) if payload.first() == Some(&0) => say(stream, 1, &payload[1..])?,
                (2, payload) if payload == [255, 0] => break,
                (9, payload) => websocket_frame(stream, 10, &payload)?,
                (8, _) => return Ok(()),
                _ => {}
            }
        }
    } else {
        say(stream, 1, format!("{LOG}\n").as_bytes())?;
    }
    say(stream, 3, SUCCESS)?;
    websocket_frame(stream, 8, &1000u16.to_be_bytes())
}

fn websocket_frame(stream: &mut BufReader<Tls>, opcode: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => frame.push(short),
        _ => {
            frame.push(126);
            frame.extend(u16::try_from(payload.len()).expect("a short frame").to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    stream.get_mut().write_all(&frame)?;
    stream.get_mut().flush()
}

/// Opcode and unmasked payload.
fn websocket_read(stream: &mut BufReader<Tls>) -> io::Result<(u8, Vec<u8>)> {
    let [first, second] = read(stream)?;
    let length = match second & 0x7f {
        126 => usize::from(u16::from_be_bytes(read(stream)?)),
        127 => usize::try_from(u64::from_be_bytes(read(stream)?)).expect("a length"),
        short => usize::from(short),
    };
    let mask: [u8; 4] = read(stream)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    for (at, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[at % 4];
    }
    Ok((first & 0x0f, payload))
}

fn read<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The client opens a stream each for the end, standard input (if there is one), output and errors, in this order, with odd numbers. What its headers say is
/// compressed and not needed; neither are headers of ours, so each reply carries an empty block, stored as it is.
fn spdy(stream: &mut BufReader<Tls>, with_input: bool) -> io::Result<()> {
    spdy_switch(stream, "v4.channel.k8s.io")?;
    let wanted = if with_input { 4 } else { 3 };
    let mut streams: Vec<u32> = Vec::new();
    loop {
        let head: [u8; 8] = read(stream)?;
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        if head[0] & 0x80 == 0 {
            let id = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            let finished = head[4] & 1 == 1;
            if with_input && streams.get(1) == Some(&id) {
                if !payload.is_empty() {
                    spdy_data(stream, streams[2], &payload, false)?;
                }
                if finished {
                    break;
                }
            }
            continue;
        }
        match u16::from_be_bytes([head[2], head[3]]) {
            // SYN_STREAM
            1 => {
                let id = u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]]);
                spdy_reply(stream, id, streams.is_empty())?;
                streams.push(id);
                if streams.len() == wanted && !with_input {
                    spdy_data(stream, streams[1], format!("{LOG}\n").as_bytes(), false)?;
                    break;
                }
            }
            // PING
            6 => {
                let mut ping = head.to_vec();
                ping.extend_from_slice(&payload);
                stream.get_mut().write_all(&ping)?;
                stream.get_mut().flush()?;
            }
            // GOAWAY
            7 => return Ok(()),
            _ => {}
        }
    }
    for id in &streams[1..] {
        spdy_data(stream, *id, b"", true)?;
    }
    spdy_data(stream, streams[0], SUCCESS, true)?;
    // The client closes.
    let _ = io::copy(stream, &mut io::sink());
    Ok(())
}

/// The client opens two streams for each of its connections, for errors and for data; what comes on the second goes back on it.
fn port_forward(stream: &mut BufReader<Tls>) -> io::Result<()> {
    spdy_switch(stream, "portforward.k8s.io")?;
    let mut streams: Vec<u32> = Vec::new();
    loop {
        let head: [u8; 8] = read(stream)?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize];
        stream.read_exact(&mut payload)?;
        let id = |bytes: &[u8]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        match (head[0] & 0x80 == 0, u16::from_be_bytes([head[2], head[3]])) {
            (true, _) => {
                let at = streams.iter().position(|known| *known == id(&head));
                if at.is_some_and(|at| at % 2 == 1) {
                    spdy_data(stream, id(&head), &payload, head[4] & 1 == 1)?;
                }
            }
            (false, 1) => {
                spdy_reply(stream, id(&payload), streams.is_empty())?;
                streams.push(id(&payload));
            }
            (false, 6) => {
                stream.get_mut().write_all(&[head.as_slice(), &payload].concat())?;
                stream.get_mut().flush()?;
            }
            (false, 7) => return Ok(()),
            _ => {}
        }
    }
}

fn spdy_switch(stream: &mut BufReader<Tls>, protocol: &str) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\nX-Stream-Protocol-Version: {protocol}\r\n\r\n"
    );
    stream.get_mut().write_all(answer.as_bytes())?;
    stream.get_mut().flush()
}

fn spdy_reply(stream: &mut BufReader<Tls>, id: u32, first: bool) -> io::Result<()> {
    let mut block: Vec<u8> = Vec::new();
    if first {
        // A zlib stream with SPDY/3's dictionary (by its checksum) begins.
        block.extend([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2]);
    }
    // A stored block that holds the number of headers, 0, and an empty one that flushes.
    block.extend([0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    let length = u32::try_from(4 + block.len()).expect("a length").to_be_bytes();
    let mut frame = vec![0x80, 3, 0, 2, 0, length[1], length[2], length[3]];
    frame.extend(id.to_be_bytes());
    frame.extend(block);
    stream.get_mut().write_all(&frame)?;
    stream.get_mut().flush()
}

fn spdy_data(stream: &mut BufReader<Tls>, id: u32, data: &[u8], last: bool) -> io::Result<()> {
    let length = u32::try_from(data.len()).expect("a length").to_be_bytes();
    let mut frame = id.to_be_bytes().to_vec();
    frame.extend([u8::from(last), length[1], length[2], length[3]]);
    frame.extend_from_slice(data);
    stream.get_mut().write_all(&frame)?;
    stream.get_mut().flush()
}
