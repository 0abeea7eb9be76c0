//! A small HTTPS server that plays whatever server a test needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;

/// A certificate and its key.
pub struct Shown {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
}

pub fn parameters(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// One that signed itself, and may sign others: what `openssl req -x509` makes.
pub fn own(names: &[&str]) -> Shown {
    let mut parameters = parameters(names);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Shown { certificate: parameters.self_signed(&key).unwrap(), key }
}

/// One that an authority signed, which is nowhere to be found.
pub fn signed(parameters: CertificateParams) -> Shown {
    signed_by("authority", parameters)
}

/// The same, by an authority of this name.
pub fn signed_by(name: &str, parameters: CertificateParams) -> Shown {
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(issuing(name), KeyPair::generate().unwrap());
    Shown { certificate: parameters.signed_by(&key, &issuer).unwrap(), key }
}

/// An authority of this name.
pub fn authority(name: &str, key: KeyPair) -> Shown {
    Shown { certificate: issuing(name).self_signed(&key).unwrap(), key }
}

fn issuing(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}

/// An address at which nobody listens, nor will as long as what comes first is held: it is the near end of a connection.
pub fn nobody() -> (impl Sized, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let nobody = stream.local_addr().unwrap();
    ((listener, stream), nobody)
}

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method, path, version and headers.
    pub head: String,
    pub body: String,
}

impl Asked {
    /// `POST /x?y`.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A server that remembers what it was asked.
pub struct Fake {
    pub url: String,
    requests: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    /// Writes this into the connection, whatever was asked.
    pub fn start(
        shown: &Shown,
        answer: impl Fn(&mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(shown, move |_, out| answer(out))
    }

    /// Answers by what was asked: status and body.
    pub fn answers(shown: &Shown, answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::serve(shown, move |asked, out| {
            let (status, body) = answer(asked);
            write!(
                out,
                "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
        })
    }

    fn serve(
        shown: &Shown,
        answer: impl Fn(&Asked, &mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivatePkcs8KeyDer::from(shown.key.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![shown.certificate.der().clone()], key.into())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let note = requests.clone();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let connection = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, socket);
                let (note, answer) = (note.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    // A socket that is closed with something unread resets the connection, and the answer may be lost with it.
                    let length = head.to_ascii_lowercase();
                    let length = length.lines().find_map(|line| line.strip_prefix("content-length:"));
                    let length = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
                    let mut body = Vec::new();
                    let _ = (&mut stream).take(length).read_to_end(&mut body);
                    if head.is_empty() {
                        return;
                    }
                    let asked = Asked { head, body: String::from_utf8_lossy(&body).into_owned() };
                    note.lock().unwrap().push(asked.clone());
                    let _ = answer(&asked, &mut stream).and_then(|()| stream.flush());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                });
            }
        });
        Self { url, requests }
    }

    pub fn says(shown: &Shown, status: &'static str, headers: &'static str, body: impl Into<String>) -> Self {
        let body = body.into();
        Self::start(shown, move |out| {
            write!(
                out,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
                body.len()
            )
        })
    }

    /// The heads of all requests, one after the other.
    pub fn asked(&self) -> String {
        self.requests().into_iter().map(|asked| asked.head).collect()
    }

    pub fn requests(&self) -> Vec<Asked> {
        self.requests.lock().unwrap().clone()
    }

    /// How many requests began so.
    pub fn count(&self, line: &str) -> usize {
        self.requests().iter().filter(|asked| asked.line().starts_with(line)).count()
    }
}
