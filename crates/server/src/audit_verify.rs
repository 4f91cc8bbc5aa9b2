//! `strongroom audit verify`: proves that a node's own audit log is whole, with nothing but its
//! files and the public key beside them. It asks no server.

use std::path::{Path, PathBuf};

use strongroom_kernel::audit::verify::{Report, verify};

/// The name of the file beside the log that holds the public key.
const KEY_FILE: &str = "public-key";

/// Checks the files of one log, oldest first, and prints what was seen. The exit code: 0 if the log
/// is whole, 1 if it can't be read, 2 if something was changed.
pub fn audit_verify(files: &[PathBuf], key: Option<&Path>) -> i32 {
    match read(files, key) {
        Err(problem) => {
            eprintln!("{problem}");
            1
        }
        Ok((text, key)) => match verify(&text, Some(&key)) {
            Ok(report) => {
                println!("{}", describe(&report));
                0
            }
            Err(problem) => {
                eprintln!("The log is NOT whole: {problem}");
                2
            }
        },
    }
}

fn read(files: &[PathBuf], key: Option<&Path>) -> Result<(Vec<u8>, Vec<u8>), String> {
    let mut text = Vec::new();
    for file in files {
        text.extend(bytes(file)?);
    }
    let beside = || files.first().and_then(|f| f.parent()).map(|folder| folder.join(KEY_FILE));
    let key_file = key.map(Path::to_path_buf).or_else(beside).unwrap_or_default();
    let key = String::from_utf8(bytes(&key_file)?).ok();
    let key = key.and_then(|text| hex::decode(text.trim()).ok());
    Ok((text, key.ok_or_else(|| format!("{} holds no public key", key_file.display()))?))
}

fn bytes(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn describe(report: &Report) -> String {
    let Report { lines, heads, first, last, unsigned } = report;
    let mut text = format!(
        "The log is whole: {lines} lines (index {first} to {last}), {heads} signatures good."
    );
    if *unsigned > 0 {
        text.push_str(&format!(
            "\nThe last {unsigned} lines are chained, but no signature covers them yet."
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_or_log_is_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        std::fs::write(&log, "").unwrap();
        let files = [log];
        let problem = read(&files, None).unwrap_err();
        assert!(problem.contains(KEY_FILE), "{problem}");
        std::fs::write(folder.path().join(KEY_FILE), "not hex").unwrap();
        assert!(read(&files, None).unwrap_err().contains("holds no public key"));
        std::fs::write(folder.path().join(KEY_FILE), "00ff\n").unwrap();
        assert_eq!(read(&files, None).unwrap().1, [0, 255]);
    }

    #[test]
    fn the_verdict_counts_lines_and_signatures() {
        let report = Report { lines: 12, heads: 1, first: 1, last: 12, unsigned: 3 };
        let text = describe(&report);
        assert!(text.contains("12 lines (index 1 to 12), 1 signatures good"), "{text}");
        assert!(text.ends_with("The last 3 lines are chained, but no signature covers them yet."));
    }
}
