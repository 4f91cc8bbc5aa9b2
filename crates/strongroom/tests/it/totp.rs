//! One-time codes beside `oathtool`, which makes them by itself.

use std::process::Command;

use serde_json::Value as Json;
use strongroom_testkit::servers::guard::program;

use crate::databases::Room;

/// The code of `oathtool` for a key in base32 at a time.
fn oathtool(secret: &str, hash: &str, digits: &str, period: &str, at: &str) -> String {
    let mut tool = Command::new(program("oathtool", "oathtool"));
    tool.arg(format!("--totp={hash}")).args(["-b", "-d", digits]);
    tool.arg(format!("--time-step-size={period}s")).arg(format!("--now={at}")).arg(secret);
    let done = tool.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn codes_are_those_of_oathtool() {
    let room = Room::new();
    room.ok(&["secrets", "enable", "totp"]);
    let json = |words: &[&str]| -> Json {
        let words = [&words[..1], &["-format=json"], &words[1..]].concat();
        serde_json::from_str(&room.ok(&words)).unwrap()
    };
    for (hash, digits, period) in
        [("SHA1", "6", "30"), ("SHA256", "8", "30"), ("SHA512", "6", "60"), ("SHA1", "8", "45")]
    {
        let settings =
            [format!("algorithm={hash}"), format!("digits={digits}"), format!("period={period}")];
        let settings = settings.each_ref().map(String::as_str);
        let made = ["write", "totp/keys/k", "generate=true", "issuer=Us", "account_name=a@b.c"];
        let made = json(&[&made[..], &settings].concat());
        let url = made["data"]["url"].as_str().unwrap();
        let secret = url.split("secret=").nth(1).unwrap();
        // What we make is what it makes …
        let shown = json(&["read", "totp/code/k"]);
        let at = format!("@{}", shown["data"]["generated"]);
        let code = oathtool(secret, hash, digits, period, &at);
        assert_eq!(shown["data"]["code"], code, "{hash}");
        // … and what it makes is good here, once.
        let code = format!("code={}", oathtool(secret, hash, digits, period, "now"));
        assert_eq!(json(&["write", "totp/code/k", &code])["data"]["valid"], true, "{hash}");
        let again = room.run(&room.root, &["write", "totp/code/k", &code]);
        assert!(String::from_utf8_lossy(&again.stderr).contains("code already used"), "{hash}");
        // Whoever has its key has the same codes.
        let key = format!("key={secret}");
        room.ok(&[&["write", "totp/keys/theirs", &key], &settings[..]].concat());
        let theirs = json(&["read", "totp/code/theirs"]);
        let at = format!("@{}", theirs["data"]["generated"]);
        assert_eq!(theirs["data"]["code"], oathtool(secret, hash, digits, period, &at));
    }
}
