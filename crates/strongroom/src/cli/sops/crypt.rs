//! `encrypt`, `decrypt`, `rotate`.

use std::path::{Path, PathBuf};

use strongroom_base::Rng;
use strongroom_sops::cipher::{Cipher, DATA_KEY_BYTES, Nonces};
use strongroom_sops::config::CreationRule;
use strongroom_sops::keys::{DataKey, Keys, Told, data_key};
use strongroom_sops::metadata::version::{CONTEXTS_SINCE, is_newer};
use strongroom_sops::path::{self, Step};
use strongroom_sops::stores::Store;
use strongroom_sops::{Branch, Error, Exit, Result, Tree, Value, update, walk};
use zeroize::Zeroizing;

use super::{Outcome, Run, fail, files};

/// Which file is worked on: what is read, and by what name its format and rule are found.
pub struct Target {
    /// The file; nothing for the standard input.
    pub file: Option<PathBuf>,
    /// The path that decides.
    pub decides: PathBuf,
    /// The format of the input.
    pub input: Store,
    /// The format of the output.
    pub output: Store,
}

/// What people read who encrypt a file twice.
const ENCRYPTED: &str =
    "The file you have provided contains a top-level entry called 'sops', or for
flat file formats top-level entries starting with 'sops_'. This is
generally due to the file already being encrypted. SOPS uses a top-level
entry called 'sops' to store the metadata required to decrypt the file. For
this reason, SOPS can not encrypt files that already contain such an entry.

If this is an unencrypted file, rename the 'sops' entry.

If this is an encrypted file and you want to edit it, use the editor mode,
for example: `sops edit my_file.yaml`";

/// Refuses documents that are none, or are encrypted.
pub fn check_plain(store: Store, branches: &[Branch]) -> Result<()> {
    let Some(first) = branches.first() else {
        return Err(Error::new(
            Exit::NoDocument,
            "File cannot be completely empty, it must contain at least one document",
        ));
    };
    if store.has_metadata_key(first) {
        return Err(Error::new(Exit::AlreadyEncrypted, ENCRYPTED));
    }
    Ok(())
}

/// The key in the form that ciphers take.
pub fn bytes_of(key: &DataKey) -> Result<Zeroizing<[u8; DATA_KEY_BYTES]>> {
    let bytes: Result<[u8; DATA_KEY_BYTES], _> = key.bytes().try_into();
    bytes
        .map(Zeroizing::new)
        .map_err(|_| Error::new(Exit::DataKey, "the data key has a wrong length"))
}

/// The time as files have it.
pub fn now(keys: &Keys) -> String {
    strongroom_base::Timestamp::from_seconds(keys.machine.now().seconds()).to_string()
}

/// Makes a new data key and wraps it by the file's master keys.
pub fn new_data_key(tree: &mut Tree, keys: &Keys) -> Result<DataKey> {
    let rng: &dyn Rng = &*keys.machine.rng;
    let key = DataKey::generate(rng);
    let metadata = &mut tree.metadata;
    let wrapped = data_key::wrap(&key, &mut metadata.key_groups, metadata.shamir_threshold, keys);
    // Failures of several keys are a list, as Go shows it.
    metadata.shamir_threshold = wrapped.map_err(|error| {
        let text = error.text.replace('\n', " ");
        Error { text: format!("Could not generate data key: [{text}]"), ..error }
    })?;
    Ok(key)
}

/// Encrypts all values and signs.
pub fn seal(tree: &mut Tree, key: &DataKey, keys: &Keys, nonces: &mut Nonces) -> Result<()> {
    let bytes = bytes_of(key)?;
    let mut cipher = Cipher::new(&bytes, &*keys.machine.rng).with_nonces(nonces);
    walk::encrypt_and_sign(tree, &mut cipher, &now(keys))
}

impl Run<'_, '_> {
    /// The file that the first argument names. Where there is none, it is the standard input.
    pub(super) fn target(&mut self) -> Result<Target> {
        let file = match self.args.first() {
            Some(name) => Some(files::absolute(name)?),
            None => None,
        };
        let decides = match (self.own.text("filename-override"), &file) {
            ("", Some(file)) => file.clone(),
            ("", None) => files::absolute("")?,
            (name, _) => files::absolute(name)?,
        };
        let input = self.input_store(&decides)?;
        let output = self.output_store(&decides)?;
        Ok(Target { file, decides, input, output })
    }

    /// What holds for all that read one file and write it.
    pub(super) fn check_outputs(&mut self) -> Outcome {
        if self.args.is_empty() && self.own.is("in-place") {
            let text = "Error: cannot use --in-place when reading from stdin";
            return Err(fail(Exit::Conflict, text));
        }
        self.warn_of_more();
        if self.own.is("in-place") && !self.own.text("output").is_empty() {
            let text = "Error: cannot operate on both --output and --in-place";
            return Err(fail(Exit::Conflict, text));
        }
        Ok(())
    }

    /// Refuses a file that is not there.
    pub(super) fn check_there(&self) -> Outcome {
        let Some(name) = self.args.first() else { return Ok(()) };
        let file = files::absolute(name)?;
        if file.exists() {
            return Ok(());
        }
        let text = format!("Error: cannot operate on non-existent file {file:?}");
        Err(fail(Exit::NoFile, text))
    }

    /// Reads and decrypts a file.
    pub(super) fn open(
        &mut self,
        file: Option<&Path>,
        store: Store,
        keys: &Keys,
        nonces: Option<&mut Nonces>,
    ) -> Result<(Tree, DataKey)> {
        let bytes = self.read_input(file)?;
        let mut tree = store.load_encrypted_whole(bytes)?;
        // Of what is no version it cannot be known how its data key was wrapped.
        is_newer(CONTEXTS_SINCE, &tree.metadata.version).map_err(Error::general)?;
        let key = data_key::recover(&tree.metadata, keys)?;
        let key_bytes = bytes_of(&key)?;
        let mut cipher = Cipher::new(&key_bytes, &*keys.machine.rng);
        if let Some(nonces) = nonces {
            cipher = cipher.with_nonces(nonces);
        }
        self.log(&Told::new("SOPS", "debug", "Decrypting tree"));
        let ignore_mac = self.own.is("ignore-mac");
        let walked = walk::decrypt_and_verify(&mut tree, &mut cipher, ignore_mac)?;
        if walked.odd_comments > 0 {
            self.warn(
                "Found possibly unencrypted comment in file. This is to be expected if the file being \
                 decrypted was created with an older version of SOPS.",
            );
        }
        Ok((tree, key))
    }

    /// A file's values, as they come out.
    pub(super) fn decrypted(
        &mut self,
        target: &Target,
        steps: &[Step],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let keys = self.keys()?;
        let (mut tree, _) = self.open(target.file.as_deref(), target.input, &keys, None)?;
        let dumped = |error: Error| error.within("Error dumping file").exiting(Exit::Emit);
        if steps.is_empty() {
            return target.output.emit_plain(&tree.branches).map(Zeroizing::new).map_err(dumped);
        }
        let shown: Vec<String> = steps.iter().map(Step::to_string).collect();
        let told = Told::new("SOPS", "info", "Truncating tree");
        self.log(&told.with("path", format!("[{}]", shown.join(" "))));
        let first = tree.branches.first_mut().map(std::mem::take).unwrap_or_default();
        match path::take(first, steps)? {
            Value::Map(branch) => {
                if let Some(place) = tree.branches.first_mut() {
                    *place = branch;
                }
                target.output.emit_plain(&tree.branches).map(Zeroizing::new).map_err(dumped)
            }
            Value::Text(text) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
            Value::Bytes(bytes) => Ok(bytes),
            value => {
                let emitted = target.output.emit_value(&value).map(Zeroizing::new);
                emitted.map_err(|error| error.within("Error dumping tree").exiting(Exit::Emit))
            }
        }
    }

    /// A file, encrypted.
    pub(super) fn encrypted(
        &mut self,
        target: &Target,
        rule: Option<CreationRule>,
    ) -> Result<Tree> {
        let metadata = self.new_metadata(&target.decides, target.input, rule)?;
        let bytes = self.read_input(target.file.as_deref())?;
        let branches = target.input.load_plain(&bytes);
        let branches = branches
            .map_err(|error| error.within("Error unmarshalling file").exiting(Exit::Read))?;
        drop(bytes);
        check_plain(target.output, &branches)?;
        let mut tree = Tree { branches, metadata };
        let keys = self.keys()?;
        let key = new_data_key(&mut tree, &keys)?;
        seal(&mut tree, &key, &keys, &mut Nonces::default())?;
        Ok(tree)
    }

    /// A file with a new data key.
    pub(super) fn rotated(&mut self, target: &Target) -> Result<Tree> {
        let (add, remove) = self.changed_keys()?;
        let keys = self.keys()?;
        let mut nonces = Nonces::default();
        let (mut tree, _) =
            self.open(target.file.as_deref(), target.input, &keys, Some(&mut nonces))?;
        update::change_keys(&mut tree.metadata, add, &remove);
        let key = new_data_key(&mut tree, &keys)?;
        seal(&mut tree, &key, &keys, &mut nonces)?;
        Ok(tree)
    }
}

/// An encrypted document as a file.
pub fn marshal(store: Store, tree: &mut Tree) -> Result<Vec<u8>> {
    let emitted = store.emit_encrypted(tree);
    emitted.map_err(|error| error.within("Could not marshal tree").exiting(Exit::Emit))
}

/// Reads `--extract`.
pub fn extract_steps(text: &str) -> Result<Vec<Step>> {
    path::parse(text)
        .map_err(|text| Error::new(Exit::TreePath, format!("error parsing --extract path: {text}")))
}

/// `decrypt`
pub fn decrypt(run: &mut Run<'_, '_>) -> Outcome {
    run.check_outputs()?;
    run.check_there()?;
    let target = run.target()?;
    let steps = extract_steps(run.own.text("extract"))?;
    let output = run.decrypted(&target, &steps)?;
    run.deliver_plain(target.file.as_deref(), &output)
}

/// `encrypt`
pub fn encrypt(run: &mut Run<'_, '_>) -> Outcome {
    if run.args.is_empty()
        && !run.own.is("in-place")
        && run.own.text("filename-override").is_empty()
    {
        let text = "Error: must specify --filename-override when reading from stdin";
        return Err(fail(Exit::Conflict, text));
    }
    run.check_outputs()?;
    run.check_there()?;
    let target = run.target()?;
    let mut tree = run.encrypted(&target, None)?;
    run.deliver_sealed(target.file.as_deref(), target.output, &mut tree)
}

/// `rotate`
pub fn rotate(run: &mut Run<'_, '_>) -> Outcome {
    if run.args.is_empty() {
        return Err(fail(Exit::NoFile, "Error: no file specified"));
    }
    run.check_outputs()?;
    let file = files::absolute(&run.args[0])?;
    if !file.exists() && run.changes_keys() {
        let text = format!(
            "Error: cannot add or remove keys on non-existent file {file:?}, use the `edit` \
             subcommand instead."
        );
        return Err(fail(Exit::KeysOfMissingFile, text));
    }
    let target = run.target()?;
    let mut tree = run.rotated(&target)?;
    run.deliver_sealed(target.file.as_deref(), target.output, &mut tree)
}
