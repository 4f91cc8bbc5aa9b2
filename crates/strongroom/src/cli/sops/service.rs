//! `keyservice`, `filestatus`.

use strongroom_sops::Exit;
use strongroom_sops::keys::keyservice::{Listener, serve};

use super::{Outcome, Run, fail, files, machine};

/// `keyservice`
pub fn keyservice(run: &mut Run<'_, '_>) -> Outcome {
    let failed = |text: String| fail(Exit::General, text);
    let machine = machine::machine(run.world);
    let (network, address) =
        (run.own.text("network").to_owned(), run.own.text("address").to_owned());
    let listener = Listener::bind(&network, &address, &machine);
    let listener = listener.map_err(|failure| failed(failure.0))?;
    run.tell(&format!("Listening on {}", listener.shown));
    if let Some(others) = listener.others() {
        run.warn(&format!(
            "{others} can use these keys by {}: a unix socket is for you only (--network unix)",
            listener.shown
        ));
    }
    let stop = async {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate());
        match terminate {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(_) => drop(tokio::signal::ctrl_c().await),
        }
    };
    serve(&machine, &listener, run.own.is("prompt"), stop).map_err(|failure| failed(failure.0))
}

/// `filestatus`
pub fn filestatus(run: &mut Run<'_, '_>) -> Outcome {
    let Some(name) = run.args.first().cloned() else {
        return Err(fail(Exit::NoFile, "Error: no file specified"));
    };
    let file = files::absolute(&name)?;
    let store = run.input_store(&file)?;
    let words = "cannot check file status: cannot load encrypted file";
    // Named as it was given.
    let bytes = run.read_input(Some(std::path::Path::new(&name)));
    let bytes = bytes.map_err(|error| error.within(words).exiting(Exit::General))?;
    let found = store.load_if_encrypted(&bytes).map_err(|error| error.within(words))?;
    let encrypted = found
        .is_some_and(|tree| !tree.metadata.version.is_empty() && !tree.metadata.mac.is_empty());
    run.write_out(format!("{{\"encrypted\":{encrypted}}}\n").as_bytes())
}
