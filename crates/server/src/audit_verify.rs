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
    let files = segments(files)?;
    let mut text = Vec::new();
    for file in &files {
        text.extend(bytes(file)?);
    }
    let beside = || files.first().and_then(|f| f.parent()).map(|folder| folder.join(KEY_FILE));
    let key_file = key.map(Path::to_path_buf).or_else(beside).unwrap_or_default();
    let missing = key.is_none() && !key_file.exists();
    let key = bytes(&key_file).map_err(|problem| match missing {
        true => "no public key lies beside the log: name its file by -key".to_owned(),
        false => problem,
    })?;
    let keys = String::from_utf8(key).ok().and_then(|text| {
        let keys = text.split_whitespace().map(|key| hex::decode(key).ok());
        keys.collect::<Option<Vec<_>>>()
    });
    let keys = keys.filter(|keys| !keys.is_empty());
    let keys = keys.ok_or_else(|| format!("{} holds no public key", key_file.display()))?;
    Ok((text, keys.concat()))
}

/// The files, with those of a folder in its stead: their names order them.
fn segments(given: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let told = |error| format!("{}: {error}", path.display());
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(told)? {
            let name = entry.map_err(told)?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("audit-") && name.ends_with(".log") {
                found.push(path.join(&*name));
            }
        }
        if found.is_empty() {
            return Err(format!("{} holds no audit log", path.display()));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
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
        assert!(problem.contains("name its file by -key"), "{problem}");
        let named = folder.path().join("other-key");
        assert!(read(&files, Some(&named)).unwrap_err().contains("other-key"));
        std::fs::write(folder.path().join(KEY_FILE), "not hex").unwrap();
        assert!(read(&files, None).unwrap_err().contains("holds no public key"));
        std::fs::write(folder.path().join(KEY_FILE), "00ff\n").unwrap();
        assert_eq!(read(&files, None).unwrap().1, [0, 255]);
        std::fs::write(folder.path().join(KEY_FILE), "00ff\n01fe\n").unwrap();
        assert_eq!(read(&files, None).unwrap().1, [0, 255, 1, 254]);
    }

    #[test]
    fn a_folder_stands_for_its_segments_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_path_buf();
        assert!(segments(std::slice::from_ref(&path)).unwrap_err().contains("holds no audit log"));
        for name in ["audit-0000000000000020.log", "public-key", "audit-0000000000000001.log"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let single = PathBuf::from("b.log");
        let found = segments(&[single.clone(), path.clone()]).unwrap();
        let at = |name: &str| path.join(name);
        let first = at("audit-0000000000000001.log");
        assert_eq!(found, [single, first, at("audit-0000000000000020.log")]);
    }

    #[test]
    fn the_verdict_counts_lines_and_signatures() {
        let report = Report { lines: 12, heads: 1, first: 1, last: 12, unsigned: 3 };
        let text = describe(&report);
        assert!(text.contains("12 lines (index 1 to 12), 1 signatures good"), "{text}");
        assert!(text.ends_with("The last 3 lines are chained, but no signature covers them yet."));
    }
}
