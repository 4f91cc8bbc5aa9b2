//! `keyservice`, `filestatus`.

use strongroom_sops::keys::Told;
use strongroom_sops::keys::keyservice::{Listener, serve};
use strongroom_sops::{Error, Exit};

use super::{End, Outcome, Run, fail, fatal, files, machine};

/// `keyservice`
pub fn keyservice(run: &mut Run<'_, '_>) -> Outcome {
    let machine = machine::machine(run);
    let (network, address) =
        (run.own.text("network").to_owned(), run.own.text("address").to_owned());
    let listener = Listener::bind(&network, &address, &machine);
    let listener = listener.map_err(|failure| failed(run, failure.0))?;
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
    serve(&machine, &listener, run.own.is("prompt"), stop).map_err(|failure| failed(run, failure.0))
}

/// The original says it twice.
fn failed(run: &mut Run<'_, '_>, text: String) -> End {
    run.log(&Told::new("CMD", "error", &format!("Error running keyservice: {text}")));
    fatal(Error::general(text))
}

/// `filestatus`
pub fn filestatus(run: &mut Run<'_, '_>) -> Outcome {
    let Some(name) = run.args.first().cloned() else {
        return Err(fail(Exit::NoFile, "Error: no file specified"));
    };
    let file = files::absolute(&name)?;
    let store = run.input_store(&file)?;
    let unread = |error: Error| {
        let words = "cannot check file status: cannot load encrypted file";
        fatal(error.within(words).exiting(Exit::General))
    };
    // Named as it was given.
    let bytes = run.read_input(Some(std::path::Path::new(&name))).map_err(unread)?;
    let found = store.load_if_encrypted(&bytes).map_err(unread)?;
    let encrypted = found
        .is_some_and(|tree| !tree.metadata.version.is_empty() && !tree.metadata.mac.is_empty());
    run.write_out(format!("{{\"encrypted\":{encrypted}}}\n").as_bytes())
}
