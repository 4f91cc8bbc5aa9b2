//! A stand-in for Redis: it speaks just enough of its protocol to be asked for users and to forget
//! them, and answers at once. Leases are made and revoked against it when the figure is to be the
//! server's own: a real database would be what is measured.

use std::{
    collections::{HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Bytes of one argument, and arguments of one command, at most.
const ARGUMENT_MAX: usize = 64 * 1024;
const ARGUMENTS_MAX: usize = 64;

/// The users there are, by a hash of their names.
type Users = Arc<Mutex<HashSet<u64>>>;

/// A running stand-in. It serves until the process ends.
pub struct Standin {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    users: Users,
}

impl Standin {
    /// Starts one.
    pub fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        let users = Users::default();
        let shared = users.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let users = shared.clone();
                // A connection that breaks is not this program's concern.
                thread::spawn(move || serve(&stream, &users));
            }
        });
        Ok(Self { port, users })
    }

    /// How many users there are.
    pub fn users(&self) -> usize {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn serve(stream: &TcpStream, users: &Users) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    let mut answers = Vec::new();
    loop {
        let Some(command) = command(&mut reader)? else { return Ok(()) };
        answers.extend_from_slice(answer(&command, users).as_bytes());
        // Commands that came together are answered together.
        if reader.buffer().is_empty() {
            writer.write_all(&answers)?;
            answers.clear();
        }
    }
}

/// One command with its arguments; none at the end of the connection.
fn command(reader: &mut impl BufRead) -> io::Result<Option<Vec<Vec<u8>>>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let count = number(&line, '*').filter(|count| *count <= ARGUMENTS_MAX);
    let mut arguments = Vec::new();
    for _ in 0..count.ok_or(io::ErrorKind::InvalidData)? {
        line.clear();
        reader.read_line(&mut line)?;
        let length = number(&line, '$').filter(|length| *length <= ARGUMENT_MAX);
        let mut argument = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
        reader.read_exact(&mut argument)?;
        reader.read_exact(&mut [0; 2])?;
        arguments.push(argument);
    }
    Ok(Some(arguments))
}

fn number(line: &str, kind: char) -> Option<usize> {
    line.strip_prefix(kind)?.trim_end().parse().ok()
}

fn answer(command: &[Vec<u8>], users: &Users) -> &'static str {
    let word = |index: usize| command.get(index).map_or(&[][..], Vec::as_slice);
    if !word(0).eq_ignore_ascii_case(b"ACL") {
        return "+OK\r\n";
    }
    let mut hasher = DefaultHasher::new();
    word(2).hash(&mut hasher);
    let name = hasher.finish();
    let mut users = users.lock().unwrap_or_else(PoisonError::into_inner);
    match word(1).to_ascii_uppercase().as_slice() {
        b"GETUSER" if users.contains(&name) => "*0\r\n",
        b"GETUSER" => "$-1\r\n",
        b"SETUSER" => {
            users.insert(name);
            "+OK\r\n"
        }
        b"DELUSER" if users.remove(&name) => ":1\r\n",
        b"DELUSER" => ":0\r\n",
        _ => "+OK\r\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_the_users_it_was_asked_for() {
        let users = Users::default();
        for (line, want) in [
            ("AUTH admin x", "+OK\r\n"),
            ("ACL GETUSER a", "$-1\r\n"),
            ("ACL SETUSER a ON >x ~*", "+OK\r\n"),
            ("ACL GETUSER a", "*0\r\n"),
            ("acl deluser a", ":1\r\n"),
            ("ACL DELUSER a", ":0\r\n"),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let mut bytes = format!("*{}\r\n", words.len());
            for word in words {
                bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
            }
            let read = command(&mut bytes.as_bytes());
            let read = read.expect("readable").expect("a command");
            assert_eq!(answer(&read, &users), want, "{line}");
        }
        assert!(command(&mut &b"*99999999\r\n"[..]).is_err());
    }
}
