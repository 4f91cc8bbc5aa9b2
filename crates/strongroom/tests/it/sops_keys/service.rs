//! The key service: ours serves the original, and the original's serves ours.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::{Desk, PLAIN, Whose, text};

/// A running service; it ends with the value.
struct Service {
    process: Child,
    uri: String,
}

impl Service {
    fn start(desk: &Desk, whose: Whose, network: &str, address: &str) -> Self {
        let mut sops = desk.sops(whose);
        // The original says where it listens only when it says everything.
        sops.args(["keyservice", "--verbose", "--network", network, "--address", address]);
        let mut process = sops.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        // It is said once the listener is open.
        let said = lines.by_ref().map_while(Result::ok).find(|line| line.contains("Listening on"));
        let said = said.expect("the service ended without saying where it listens");
        let uri = said.split_once("Listening on ").unwrap().1.trim_end_matches('"').to_owned();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { process, uri }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn ours_and_the_originals_serve_each_other() {
    let holder = Desk::new();
    let recipient = holder.age_key();
    for (serves, asks) in
        [(Whose::Ours, Whose::Original), (Whose::Original, Whose::Ours), (Whose::Ours, Whose::Ours)]
    {
        for network in ["unix", "tcp"] {
            let socket = holder.path("sops.sock").display().to_string();
            let _ = std::fs::remove_file(&socket);
            let port = strongroom_testkit::servers::guard::free_port();
            let address = if network == "unix" { socket } else { format!("127.0.0.1:{port}") };
            let service = Service::start(&holder, serves, network, &address);
            // Somebody without keys.
            let desk = Desk::new();
            let uri = service.uri.clone();
            let remote = ["--enable-local-keyservice=false", "--keyservice", &uri];
            let args = [
                &["encrypt"],
                &remote[..],
                &["--age", &recipient, "--output", "s.yaml", "plain.yaml"],
            ];
            desk.ok(asks, &args.concat());
            let args = [&["decrypt"], &remote[..], &["s.yaml"]].concat();
            assert_eq!(desk.ok(asks, &args), PLAIN, "{serves:?} {asks:?} {network}");
            // Without the service nobody opens the file.
            desk.refused(asks, &["decrypt", "s.yaml"], 128);
            drop(service);
            desk.refused(asks, &args, 128);
        }
    }
}

#[test]
fn what_the_service_can_t_do_is_told() {
    let holder = Desk::new();
    let other = holder.age_key_at("away.txt");
    let service = Service::start(&holder, Whose::Ours, "tcp", "127.0.0.1:0");
    let desk = Desk::new();
    desk.encrypt(Whose::Ours, &["--age", &other], "s.yaml");
    let remote = ["--enable-local-keyservice=false", "--keyservice", &service.uri];
    for asks in [Whose::Ours, Whose::Original] {
        let told = desk.refused(asks, &[&["decrypt"], &remote[..], &["s.yaml"]].concat(), 128);
        let told = told.split_whitespace().filter(|w| *w != "|").collect::<Vec<_>>().join(" ");
        let said = "rpc error: code = Unknown desc = failed to load age identities.";
        assert!(told.contains(said), "{asks:?}: {told}");
    }
    // Nobody sits before the service's terminal: with --prompt nothing is done.
    let mut sops = holder.sops(Whose::Ours);
    let help = sops.args(["keyservice", "--network", "smoke"]).output().unwrap();
    assert!(text(&help.stderr).contains("unknown network smoke"), "{}", text(&help.stderr));
}
