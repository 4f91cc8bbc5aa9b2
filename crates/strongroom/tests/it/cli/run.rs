//! A run of the command line within the test: what it is given, what it leaves behind, and a server that
//! answers from a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use strongroom_base::SecretString;
use strongroom_cli::cli::{self, ServerCommand, Terminal, World};

/// What a run left behind.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
    pub served: Option<ServerCommand>,
}

/// The surroundings of a run.
#[derive(Default)]
pub struct Run {
    pub env: Vec<(String, String)>,
    pub stdin: String,
    pub typed: Option<String>,
    /// The name the program is called by; empty stands for its own.
    pub program: &'static str,
}

impl Run {
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    pub fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    pub fn typed(mut self, text: &str) -> Self {
        self.typed = Some(text.to_owned());
        self
    }

    pub fn words(&self, words: &[&str]) -> Ran {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let served = Mutex::new(None);
        let code = {
            let env = |name: &str| {
                self.env.iter().find(|(known, _)| known == name).map(|(_, v)| v.clone())
            };
            let ask = |_: &str| self.typed.clone().ok_or_else(|| std::io::Error::other("no tty"));
            let random = |buffer: &mut [u8]| {
                buffer.fill(7);
                Ok(())
            };
            let serve = |command| {
                *served.lock().unwrap() = Some(command);
                0
            };
            let world = World {
                program: if self.program.is_empty() { "strongroom" } else { self.program }.into(),
                program_path: "/opt/strongroom".into(),
                env: &env,
                stdin: Box::new(self.stdin.as_bytes()),
                out: Some(Box::new(&mut out)),
                err: Some(Box::new(&mut err)),
                in_terminal: false,
                out_terminal: false,
                err_terminal: false,
                ask: &ask,
                terminal: Arc::new(NoTerminal),
                random: &random,
                serve: &serve,
                run: &|_| Err(std::io::Error::other("no programs")),
            };
            cli::run(words.iter().map(|word| (*word).to_owned()).collect(), world)
        };
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code, out: text(out), err: text(err), served: served.into_inner().unwrap() }
    }
}

/// Nobody is there to be asked.
pub struct NoTerminal;

impl Terminal for NoTerminal {
    fn secret(&self, _: &str) -> std::io::Result<SecretString> {
        Err(std::io::Error::other("no tty"))
    }

    fn line(&self, _: &str) -> std::io::Result<String> {
        Err(std::io::Error::other("no tty"))
    }

    fn tell(&self, _: &str) -> std::io::Result<()> {
        Err(std::io::Error::other("no tty"))
    }

    fn note(&self, text: &str) {
        eprintln!("{text}");
    }
}

/// A server that answers one request after the other from a script and keeps what it was asked.
pub struct Script {
    pub address: String,
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub fn new(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        let answers: Vec<(u16, String)> =
            answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        std::thread::spawn(move || {
            for (status, body) in answers {
                let Ok((stream, _)) = listener.accept() else { return };
                let mut reader = BufReader::new(stream);
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                        break;
                    }
                    if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = n.trim().parse().unwrap();
                    }
                    head.push_str(&line);
                }
                let mut content = vec![0; length];
                reader.read_exact(&mut content).unwrap();
                let line = head.lines().next().unwrap_or_default().replace(" HTTP/1.1", "");
                let content = String::from_utf8(content).unwrap();
                kept.lock().unwrap().push(format!("{line} {content}").trim_end().to_owned());
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nX-Strongroom-Explain: {}\r\nConnection: \
                     close\r\nContent-Length: {}\r\n\r\n{body}",
                    if status == 403 { "ex-1" } else { "" },
                    body.len()
                );
                reader.into_inner().write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { address, asked }
    }

    pub fn run(&self) -> Run {
        Run::default().env("VAULT_ADDR", &self.address).env("VAULT_TOKEN", "canary-token")
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
