use std::sync::atomic::{AtomicU8, Ordering};

use strongroom_base::{Rng, Timestamp};

use super::*;

/// Draws the alphabet, as the peer's documentation does in its examples.
struct Alphabet(AtomicU8);

impl Rng for Alphabet {
    fn fill(&self, out: &mut [u8]) {
        for byte in out {
            // `a` is the 36th character that `random` draws from.
            *byte = 36 + self.0.fetch_add(1, Ordering::Relaxed) % 26;
        }
    }
}

const VALUES: &[(&str, &str)] =
    &[("DisplayName", "token-with-display-name"), ("RoleName", "my_custom_database_role")];
const NOW: Timestamp = Timestamp(1_234_567_890_120_345_000);

fn render(template: &str) -> Result<String, Error> {
    let rng = Alphabet(AtomicU8::new(0));
    Template::parse(template, DATABASE_FIELDS)?.render(VALUES, &rng, NOW)
}

#[track_caller]
fn check(template: &str, expect: &str) {
    match render(template) {
        Ok(name) => assert_eq!(name, expect, "{template}"),
        Err(error) => panic!("{template}: {error}"),
    }
}

/// Refused when it is read.
#[track_caller]
fn refuse(template: &str, expect: &str) {
    match Template::parse(template, DATABASE_FIELDS) {
        Ok(_) => panic!("{template} was taken"),
        Err(error) => assert_eq!(error.to_string(), expect, "{template}"),
    }
}

/// What Go 1.26 makes of these with the same fields, draws and time.
#[test]
fn go_gives_the_same() {
    for (template, expect) in [
        (
            r#"{{ printf "v_%s_%s_%s_%s" (.DisplayName | truncate 64) (.RoleName | truncate 64) (random 20) (unix_time) | truncate 100 | uppercase }}"#,
            "V_TOKEN-WITH-DISPLAY-NAME_MY_CUSTOM_DATABASE_ROLE_ABCDEFGHIJKLMNOPQRST_1234567890",
        ),
        (
            r#"{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 20) (.RoleName | truncate 20) (random 20) (unix_time) | truncate 128 }}"#,
            "v-token-with-display-n-my_custom_database_r-abcdefghijklmnopqrst-1234567890",
        ),
        (
            r#"{{ printf "v_%s_%s_%s_%s" (.DisplayName | truncate 32) (.RoleName | truncate 32) (random 20) (unix_time) | truncate 255 | replace "-" "_" }}"#,
            "v_token_with_display_name_my_custom_database_role_abcdefghijklmnopqrst_1234567890",
        ),
        (r"{{.DisplayName}}_{{.RoleName}}", "token-with-display-name_my_custom_database_role"),
        (
            r#"FOO_{{.DisplayName | replace "-" "_" | uppercase}}_{{.RoleName | replace "-" "_" | uppercase}}_{{timestamp "2006_01_02T15_04_05Z" | replace "-" "_"}}"#,
            "FOO_TOKEN_WITH_DISPLAY_NAME_MY_CUSTOM_DATABASE_ROLE_2009_02_13T23_31_30Z",
        ),
        (
            r#"{{printf "v_%s_%s_%s_%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 45}}"#,
            "v_token-wi_my_custo_abcdefghijklmnopqrst_1234",
        ),
        (
            r#"{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}"#,
            "v-token-wi-my_custo-abcdefghijklmnopqrst-1234567890",
        ),
        (
            r#"{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 10) (.RoleName | truncate 10) (random 20) (unix_time) | truncate 32 }}"#,
            "v-token-with-my_custom_-abcdefgh",
        ),
        (
            r#"{{ printf "v-%s-%s-%s" (.RoleName | truncate 4) (random 20) | truncate 16 }}"#,
            "v-my_c-abcdefghi",
        ),
        (
            r#"{{ printf "v-%s-%s-%s" (.RoleName | truncate 4) (random 20) (unix_time) | truncate 16 }}"#,
            "v-my_c-abcdefghi",
        ),
        (
            r#"{{ printf "V_%s_%s_%s_%s" (.DisplayName | uppercase | truncate 64) (.RoleName | uppercase | truncate 64) (random 20 | uppercase) (unix_time) | truncate 256 }}"#,
            "V_TOKEN-WITH-DISPLAY-NAME_MY_CUSTOM_DATABASE_ROLE_ABCDEFGHIJKLMNOPQRST_1234567890",
        ),
        (
            r#"{{ printf "v_%s_%s_%s_%s" (.DisplayName | truncate 15) (.RoleName | truncate 15) (random 20) (unix_time) | truncate 100 | replace "-" "_" | lowercase }}"#,
            "v_token_with_disp_my_custom_datab_abcdefghijklmnopqrst_1234567890",
        ),
        (
            r#"{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 15) (.RoleName | truncate 15) (random 20) (unix_time) | replace "." "-" | truncate 100 }}"#,
            "v-token-with-disp-my_custom_datab-abcdefghijklmnopqrst-1234567890",
        ),
        (
            r#"{{ printf "%s-%s" (.DisplayName) (uuid) }}"#,
            "token-with-display-name-24252627-2829-4a2b-ac2d-2e2f30313233",
        ),
        (
            r"v_{{.DisplayName}}_{{.RoleName}}_{{random 10}}_{{unix_time}}",
            "v_token-with-display-name_my_custom_database_role_abcdefghij_1234567890",
        ),
        (
            r#"{{ if (eq .RoleName "STS") }}{{ printf "vault-%s-%s"  (unix_time) (random 20) | truncate 32 }}{{ else }}{{ printf "vault-%s-%s-%s" (printf "%s-%s" (.DisplayName) (.RoleName) | truncate 42) (unix_time) (random 20) | truncate 64 }}{{ end }}"#,
            "vault-token-with-display-name-my_custom_database-1234567890-abcd",
        ),
        (
            r#"{{$.RoleName}}{{ $x := .RoleName | truncate 3 }}{{ $x }}{{ $x = "q" }}{{$x|uppercase}}"#,
            "my_custom_database_rolemy_Q",
        ),
        (r#"{{"abcdefghijklmnopqrstuvwxyz" | truncate_sha256 20}}"#, "abcdefghijkl872808ff"),
        (
            r#"{{"abcdefghijklmnopqrst" | truncate_sha256 20}} {{truncate_sha256 9 "abcdefghij"}}"#,
            "abcdefghijklmnopqrst af532c0e1",
        ),
        (
            r#"{{"é€😀" | truncate 4 | hex}}|{{"é€😀" | truncate 2}}|{{"é€😀" | truncate 100}}"#,
            "c3a9e282|é|é€\u{1f600}",
        ),
        (
            r#"{{"é€😀" | truncate 4 | uppercase}} {{"é€😀" | truncate 4 | sha256}} {{"é€😀" | truncate 3 | hex}}"#,
            "É\u{fffd}\u{fffd} 1c1a3e0c5e1eb6e3218beb4a0cbf7397375ae79f1665c607f07454d6be3869d5 c3a9e2",
        ),
        (
            r#"{{"Straße ǆ ŉ İI ıi Σς ᾳ" | uppercase}} {{"Straße ǅ ŉ İI ıi ΣΣ ᾼ" | lowercase}}"#,
            "STRAßE Ǆ ŉ İI II ΣΣ ᾼ straße ǆ ŉ ii ıi σσ ᾳ",
        ),
        (
            r#"{{sha256 "abc"}} {{base64 "abcd"}} {{"YWJjZA==" | decode_base64}} {{"YWJjZB==" | decode_base64}} {{hex "a\x00\377"}} {{decode_hex "4a4B"}}"#,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad YWJjZA== abcd abcd 6100ff JK",
        ),
        (r#"{{"YW\nJj\r\n" | decode_base64}}"#, "abc"),
        (
            r#"{{replace "" "-" "aé"}} {{replace "aa" "b" "aaaaa"}} {{replace "a" "" "banana"}} {{replace "x" "y" "banana"}} {{replace "" "" "é"}} {{replace "" "-" ""}}"#,
            "-a-é- bba bnn banana é -",
        ),
        (
            r"{{uuid}} {{uuid | truncate 8}} {{random 3}}{{random 0}}{{random 30}}",
            "24252627-2829-4a2b-ac2d-2e2f30313233 34353637 ghijklmnopqrstuvwxyzabcdefghijklm",
        ),
        (r"{{unix_time}} {{unix_time_millis}}", "1234567890 1234567890120"),
        (
            r#"{{timestamp "2006-01-02T15:04:05Z07:00"}} {{timestamp "Mon Jan _2 15:04:05 2006"}} {{timestamp "Monday, 02-Jan-06 15:04:05 MST"}}"#,
            "2009-02-13T23:31:30Z Fri Feb 13 23:31:30 2009 Friday, 13-Feb-09 23:31:30 UTC",
        ),
        (
            r#"{{timestamp "Mon, 02 Jan 2006 15:04:05 -0700"}} {{timestamp "3:04PM"}} {{timestamp "03:04pm"}} {{timestamp "January 2 1 2006 4 5"}}"#,
            "Fri, 13 Feb 2009 23:31:30 +0000 11:31PM 11:31pm February 13 2 2009 31 30",
        ),
        (
            r#"{{timestamp "002 __2 _2 _2006 __2006 2006002"}} {{timestamp ".000 .999 ,00 .0 .9 .0000000000 .99x .001 .9991 . ."}}"#,
            "044  44 13 _2009  44009 2009044 .120 .12 ,12 .1 .1 .120345000 .12x .002 .9992 . .",
        ),
        (
            r#"{{timestamp "-070000 -07:00:00 -0700 -07:00 -07 Z070000 Z07:00:00 Z0700 Z07:00 Z07 Z -7"}} {{timestamp "Janet Monty Mond MST Monday Januaryx 00 07 16 20060102150405"}}"#,
            "+000000 +00:00:00 +0000 +00:00 +00 Z Z Z Z Z Z -7 Janet Monty Mond UTC Friday Februaryx 00 07 26 20090213233130",
        ),
        (
            r#"{{timestamp "Jan. Mon. JanX jan 1/2/06 é15h"}}{{timestamp ""}}"#,
            "Feb. Fri. FebX jan 2/13/09 é23h",
        ),
        (
            r#"{{timestamp "20060102150405.999999999"}} {{timestamp "15.9999"}}"#,
            "20090213233130.120345 23.1203",
        ),
        (
            r#"{{printf "%s|%8s|%-8s|%.3s|%8.3s|%-8.2s|" "abcde" "abc" "abc" "abcde" "abcde" "abcde"}}"#,
            "abcde|     abc|abc     |abc|     abc|ab      |",
        ),
        (
            r#"{{printf "%08s|%-08s|%05v|%05t|%-05t|%.2v" "abc" "abc" "abc" true false "abc"}}"#,
            "00000abc|abc     |00abc|0true|false|ab",
        ),
        (
            r#"{{printf "%q %10q %-10q| %.2q %v %x %X %.2x %8x" "a\"b" "é" "é" "abcd" "v" "hi" "kl\xff" "hijk" "z"}}"#,
            "\"a\\\"b\"        \"é\" \"é\"       | \"ab\" v 6869 6B6CFF 6869       7a",
        ),
        (
            r#"{{printf "%q" "\a\b\f\n\r\t\v\\'`\x00\x7f\x80é€\u00a0\u200b\ufeff\U0001f600\U000e0001\ufffd"}}"#,
            "\"\\a\\b\\f\\n\\r\\t\\v\\\\'`\\x00\\x7f\\x80é€\\u00a0\\u200b\\ufeff\u{1f600}\\U000e0001\u{fffd}\"",
        ),
        (
            r#"{{printf "%d %5d %-5d| %05d %-05d| %+d % d %x %X" 42 42 42 42 42 42 42 255 255}}"#,
            "42    42 42   | 00042 42   | +42  42 ff FF",
        ),
        (
            r#"{{printf "%.5d %8.5d %-8.5d| %.0d| %5.0d| %o %b %c %v %6v %06v" 42 42 42 0 0 8 5 233 7 7 -7}}"#,
            "00042    00042 00042   | |      | 10 101 é 7      7 -00007",
        ),
        (
            r#"{{printf "%d %05d %x %+05d % 05d %+.3d" -42 -42 -255 42 42 5}} {{printf "%c%c%c%5c%-5c|%05c" 65 8364 -1 66 67 68}}"#,
            "-42 -0042 -ff +0042  0042 +005 A€\u{fffd}    BC    |0000D",
        ),
        (
            r#"{{printf "%t %v %7t %-7t|" true false true false}} {{printf "100%%"}}{{printf ""}} {{printf "%+d % d %+ d" -1 -1 1}}"#,
            "true false    true false  | 100% -1 -1 +1",
        ),
        (
            r#"{{printf "%5s|%-5s|%.1s|%.2q|%3c|" "é" "é" "é€" "é€" 233}} {{printf "%4s|" ("é" | truncate 1) | hex}} {{printf "%.1s" ("é" | truncate 1) | hex}}"#,
            "    é|é    |é|\"é€\"|  é| 202020c37c c3",
        ),
        (
            r#"{{printf "%+05d|%+-5d|%- 5d|% 05x|%+o|%+b" 5 5 5 255 8 2}} {{printf "%05.3d|%-05.3d|%05.0d|" 5 5 0}}"#,
            "+0005|+5   | 5   | 00ff|+10|+10   005|005  |     |",
        ),
        (
            r#"{{printf "%s %s" unix_time .RoleName}} {{.RoleName | printf "%s-%s" "a"}} {{printf "%v-%d" true (len .RoleName)}}"#,
            "1234567890 my_custom_database_role a-my_custom_database_role true-23",
        ),
        (
            r#"{{print "a" "b" 1 2 true "c" 3}} {{print 1 2}} {{print true false}} {{print}}{{println "a" 1}}{{println}}"#,
            "ab1 2 truec3 1 2 true false a 1\n\n",
        ),
        (
            r#"{{len "é"}} {{len .RoleName}} {{5}} {{-7}} {{+3}} {{true}} {{false}} {{"x"}} {{`r"a\w`}} {{0}} {{9223372036854775807}} {{-9223372036854775808}}"#,
            "2 23 5 -7 3 true false x r\"a\\w 0 9223372036854775807 -9223372036854775808",
        ),
        (
            r#"{{if eq .RoleName "a" "my_custom_database_role"}}yes{{else}}no{{end}} {{if ne .RoleName "a"}}1{{end}}{{if not .RoleName}}2{{else}}3{{end}}"#,
            "yes 13",
        ),
        (
            r#"{{if and .RoleName ""}}a{{else if or "" .DisplayName}}b{{else}}c{{end}} {{and "x" "y"}} {{and "" "y"}}|{{or "" "z"}} {{or "" ""}}| {{and 1 0 2}} {{or 0 0 3}}"#,
            "b y |z | 0 3",
        ),
        (
            r#"{{if gt (len .RoleName) 10}}long{{else if gt (len .RoleName) 5}}mid{{else}}short{{end}} {{lt "a" "b"}} {{le 2 2}} {{ge 1 2}} {{gt "b" "ab"}} {{eq 1 1}} {{eq true true false}} {{ne true false}}"#,
            "long true true false true true true true",
        ),
        (
            r#"{{if 0}}a{{end}}{{if 1}}b{{end}}{{if ""}}c{{end}}{{if "0"}}d{{end}}{{if false}}e{{end}}{{if true}}f{{end}}"#,
            "bdf",
        ),
        (
            r"{{if $r := .RoleName | truncate 2}}{{$r}}{{else}}{{$r}}x{{end}} {{if not (eq 1 2)}}{{if true}}in{{end}}{{else}}out{{end}}",
            "my in",
        ),
        (
            r#"{{$x := "a"}}{{if true}}{{$x := "b"}}{{$x}}{{$x = "c"}}{{$x}}{{end}}{{$x}}{{if true}}{{$x = "d"}}{{end}}{{$x}}{{$y:=5}}{{$y}}{{$x|len}}"#,
            "bcad51",
        ),
        (
            r#"a {{- "b" -}} c {{- /* comment */ -}} d {{/* another }} one */}} e {{ "f" -}}   {{- "g"}} h{{-3}}"#,
            "abcd  e fg h-3",
        ),
        (r"{{if true -}} x {{- else -}} y {{- end}} z", "x z"),
        (
            r#"{{"}}"}}{{`{{`}}{{ "a" |   uppercase   }}{{("b"|uppercase)}}{{(("c"))}}{{ (printf "%s" ("d")) }}{{if(true)}}e{{end}}{{if.RoleName}}f{{end}}"#,
            "}}{{ABcdef",
        ),
        (
            r#"{{"\a\b\f\n\r\t\v\\\"\101\x41\u00e9\U0001f600" | hex}} {{"\xff" | hex}} {{"\377é" | hex}}"#,
            "07080c0a0d090b5c224141c3a9f09f9880 ff ffc3a9",
        ),
        (
            r#"{{glob "my_*" .RoleName}} {{glob "*_role" .RoleName}} {{glob "my*data*role" .RoleName}} {{glob "my" .RoleName}} {{glob "*" ""}} {{glob "" ""}} {{glob "a*a" "a"}} {{glob "**" "x"}} {{glob "a*b*" "axb"}} {{glob "*b" "ab"}} {{glob "*a*" "bcd"}} {{glob "a**c" "abc"}}"#,
            "true true true false true true false true true true false true",
        ),
        (
            r#"x{{ "a" }}  {{-  "b"  -}}  y { { z }} } {{ "q" }}} {{"a"}}}}"#,
            "xaby { { z }} } q} a}}",
        ),
        (
            r#"{{.DisplayName | len | printf "%03d"}} {{.RoleName | and "a"}} {{"b" | or ""}} {{.RoleName | eq "x"}} {{"x" | not}} {{20 | random}}"#,
            "023 my_custom_database_role b false false abcdefghijklmnopqrst",
        ),
        (
            r#"{{ printf "%s" (or .DisplayName "none") | lowercase | truncate 3 | base64 | uppercase | sha256 | truncate 5 }}"#,
            "12530",
        ),
        (
            r#"{{printf "%s"}}|{{printf "%5d-%x" 7}}|{{printf "%z%08.3Q"}}"#,
            "%!s(MISSING)|    7-%!x(MISSING)|%!z(MISSING)%!Q(MISSING)",
        ),
    ] {
        check(template, expect);
    }
}

/// All of this is refused when it is read, whether Go does so, too, or not.
#[test]
fn refusals() {
    for (template, expect) in [
        (r"{{1_000}}", "At 1:3: only whole decimal numbers of 64 bits are supported"),
        (r"{{0x10}}", "At 1:3: only whole decimal numbers of 64 bits are supported"),
        (r"{{010}}", "At 1:3: only whole decimal numbers of 64 bits are supported"),
        (r"{{08}}", "At 1:3: only whole decimal numbers of 64 bits are supported"),
        (r"{{1.5}}", "At 1:3: only whole decimal numbers of 64 bits are supported"),
        (r"{{1e3}}", "At 1:3: only whole decimal numbers of 64 bits are supported"),
        (r"{{'a'}}", "At 1:3: character constants are not supported"),
        (r"{{.}}", "At 1:3: `.` alone is not supported"),
        (r"{{$}}", "At 1:3: `$` alone is not supported"),
        (r"{{nil}}", "At 1:3: `nil` is not supported here"),
        (r"{{.Nope}}", "At 1:3: field .Nope does not exist (there are .DisplayName, .RoleName)"),
        (r"{{.RoleName.X}}", "At 1:12: a field of a value is not supported"),
        (r"{{(.RoleName).X}}", "At 1:14: a field of a value is not supported"),
        (r"{{$x}}", "At 1:3: undefined variable $x"),
        (r"{{$x = 1}}", "At 1:3: undefined variable $x"),
        (r#"{{nope "a"}}"#, "At 1:3: function \"nope\" is not defined"),
        (r"{{range .RoleName}}{{end}}", "At 1:3: `range` is not supported here"),
        (r"{{with .RoleName}}x{{end}}", "At 1:3: `with` is not supported here"),
        (r#"{{define "x"}}{{end}}"#, "At 1:3: `define` is not supported here"),
        (r#"{{template "x"}}"#, "At 1:3: `template` is not supported here"),
        (r#"{{block "x" .}}{{end}}"#, "At 1:13: `.` alone is not supported"),
        (r"{{break}}", "At 1:3: `break` is not supported here"),
        (r#"{{html "a"}}"#, "At 1:3: function \"html\" is not supported"),
        (r"{{index .RoleName 0}}", "At 1:3: function \"index\" is not supported"),
        (r"{{slice .RoleName 0 2}}", "At 1:3: function \"slice\" is not supported"),
        (r#"{{urlquery "a b"}}"#, "At 1:3: function \"urlquery\" is not supported"),
        (r"{{if true}}x", "At 1:3: `if` without an `end`"),
        (r"{{if true}}a{{else}}b{{else}}c{{end}}", "At 1:24: a second `else` of one `if`"),
        (r"{{end}}", "At 1:3: `end` without an `if`"),
        (r"{{else}}", "At 1:3: `else` without an `if`"),
        (r"{{}}", "At 1:3: missing value for an action"),
        (r"{{ }}", "At 1:4: missing value for an action"),
        (r"{{ | uppercase}}", "At 1:4: missing value for an action"),
        (r"{{.RoleName | }}", "At 1:15: missing value for an action"),
        (r"{{.RoleName | .DisplayName}}", "At 1:15: what stands behind a pipe must be a function"),
        (r#"{{.RoleName "x"}}"#, "At 1:3: arguments to what is no function"),
        (r#"{{"a" "b"}}"#, "At 1:3: arguments to what is no function"),
        (r#"{{"a""b"}}"#, "At 1:6: unexpected token: arguments are separated by blanks"),
        (r"{{(1}}", "At 1:3: unclosed left parenthesis"),
        (r"{{1)}}", "At 1:4: unexpected token in the action"),
        (r#"{{"a"#, "At 1:3: unterminated text"),
        (r#"{{"a}}"#, "At 1:3: unterminated text"),
        (r"{{`a}}", "At 1:3: unterminated raw text"),
        (r"{{'}}", "At 1:3: character constants are not supported"),
        (r#"{{"\q"}}"#, "At 1:4: unknown escape in a text"),
        (r#"{{"\400"}}"#, "At 1:4: unknown escape in a text"),
        (r#"{{"\ud800"}}"#, "At 1:4: unknown escape in a text"),
        (r#"{{"\'"}}"#, "At 1:4: unknown escape in a text"),
        (r"{{.RoleName", "At 1:1: unclosed action"),
        (r"{{/* open", "At 1:1: unclosed comment"),
        (r"{{/* a */ }}", "At 1:10: comment ends before closing delimiter"),
        (r"{{ /* a */}}", "At 1:4: unexpected character in an action"),
        (r"{{.RoleName | replace - _}}", "At 1:23: a sign without a number: texts are in quotes"),
        (r"{{.RoleName | truncate 0}}", "At 1:15: the length for truncate must be at least 1"),
        (r"{{.RoleName | truncate -1}}", "At 1:15: the length for truncate must be at least 1"),
        (
            r#"{{.RoleName | truncate "5"}}"#,
            "At 1:15: argument 1 of truncate is a text, not a number",
        ),
        (
            r"{{.RoleName | truncate}}",
            "At 1:15: wrong number of arguments for truncate: it takes 2, not 1",
        ),
        (r"{{truncate 5}}", "At 1:3: wrong number of arguments for truncate: it takes 2, not 1"),
        (r"{{truncate 5 6}}", "At 1:3: argument 2 of truncate is a number, not a text"),
        (
            r"{{.RoleName | truncate_sha256 8}}",
            "At 1:15: the length for truncate_sha256 must be at least 9",
        ),
        (r"{{random}}", "At 1:3: wrong number of arguments for random: it takes 1, not 0"),
        (r#"{{random "5"}}"#, "At 1:3: argument 1 of random is a text, not a number"),
        (r"{{random 1 2}}", "At 1:3: wrong number of arguments for random: it takes 1, not 2"),
        (r"{{uuid 1}}", "At 1:3: wrong number of arguments for uuid: it takes 0, not 1"),
        (r"{{unix_time 1}}", "At 1:3: wrong number of arguments for unix_time: it takes 0, not 1"),
        (r"{{timestamp}}", "At 1:3: wrong number of arguments for timestamp: it takes 1, not 0"),
        (r"{{timestamp 5}}", "At 1:3: argument 1 of timestamp is a number, not a text"),
        (r#"{{printf "%s" 1}}"#, "At 1:3: %s of printf is not for a number"),
        (r#"{{printf "%d" "a"}}"#, "At 1:3: %d of printf is not for a text"),
        (r#"{{printf "a" "b"}}"#, "At 1:3: printf has more arguments than verbs"),
        (r#"{{printf "%"}}"#, "At 1:3: printf ends within a verb"),
        (r#"{{printf "%z" 1}}"#, "At 1:3: %z of printf is not for a number"),
        (
            r#"{{printf "%*d" 5 1}}"#,
            "At 1:3: width and order by arguments are not supported in printf",
        ),
        (
            r#"{{printf "%[1]s" "a"}}"#,
            "At 1:3: width and order by arguments are not supported in printf",
        ),
        (r#"{{printf "%#q" "a"}}"#, "At 1:3: the flag # of printf is not supported"),
        (r#"{{printf "%+q" "a"}}"#, "At 1:3: a flag of %q of printf is not supported"),
        (r#"{{printf "%2000s" "a"}}"#, "At 1:3: a width or precision of printf is over 1024"),
        (r"{{printf}}", "At 1:3: the first argument of printf must be a literal text"),
        (r"{{printf .RoleName}}", "At 1:3: the first argument of printf must be a literal text"),
        (r#"{{eq "a"}}"#, "At 1:3: wrong number of arguments for eq: it takes at least 2, not 1"),
        (r#"{{eq "a" 1}}"#, "At 1:3: the arguments of eq differ in kind: a text and a number"),
        (r"{{eq}}", "At 1:3: wrong number of arguments for eq: it takes at least 2, not 0"),
        (r#"{{ne "a" "b" "c"}}"#, "At 1:3: wrong number of arguments for ne: it takes 2, not 3"),
        (r"{{lt true false}}", "At 1:3: lt does not take a truth value"),
        (r#"{{lt 1 "a"}}"#, "At 1:3: the arguments of lt differ in kind: a number and a text"),
        (r"{{not}}", "At 1:3: wrong number of arguments for not: it takes 1, not 0"),
        (r"{{not 1 2}}", "At 1:3: wrong number of arguments for not: it takes 1, not 2"),
        (r"{{and}}", "At 1:3: wrong number of arguments for and: it takes at least 1, not 0"),
        (r#"{{or "a" 1}}"#, "At 1:3: the arguments of or differ in kind: a text and a number"),
        (r"{{len 5}}", "At 1:3: argument 1 of len is a number, not a text"),
        (r"{{lowercase 5}}", "At 1:3: argument 1 of lowercase is a number, not a text"),
        (r"{{if}}x{{end}}", "At 1:5: missing value for `if`"),
        (r"{{end x}}", "At 1:7: unexpected token in `end`"),
        (r"{{if true}}{{else x}}{{end}}", "At 1:19: unexpected token in `else`"),
        (r#"{{$x := "a"}}{{$x = 5}}"#, "At 1:16: variable $x is a text, not a number"),
        (r"{{$x, $y := .RoleName}}", "At 1:5: unexpected character in an action"),
        (r"{{if true}}{{$z := 1}}{{end}}{{$z}}", "At 1:32: undefined variable $z"),
        (
            r"{{.RoleName|uppercase lowercase}}",
            "At 1:23: wrong number of arguments for lowercase: it takes 1, not 0",
        ),
        (r#"{{"a"-}}"#, "At 1:6: a sign without a number: texts are in quotes"),
        (r"{{.RoleName?}}", "At 1:3: unexpected character in a name"),
        (r"{{a?}}", "At 1:3: unexpected character in a name"),
        (r"{{9223372036854775808}}", "At 1:3: only whole decimal numbers of 64 bits are supported"),
        (r"{{12ab}}", "At 1:3: only whole decimal numbers of 64 bits are supported"),
        (r"{{.5}}", "At 1:3: only whole decimal numbers of 64 bits are supported"),
        (r"{{- -}}", "At 1:5: a sign without a number: texts are in quotes"),
        (r"{{if else}}x{{end}}", "At 1:6: `else` is not supported here"),
        (r#"{{true "a"}}"#, "At 1:3: arguments to what is no function"),
        (r"{{true | uppercase}}", "At 1:10: argument 1 of uppercase is a truth value, not a text"),
        (r"{{1 | truncate 3}}", "At 1:7: argument 2 of truncate is a number, not a text"),
        (r"{{ .RoleName , }}", "At 1:14: unexpected character in an action"),
        (r"{{ : }}", "At 1:4: unexpected character in an action"),
        (r#"{{ $x : "a" }}"#, "At 1:7: unexpected character in an action"),
        (r"{{ .RôleName }}", "At 1:4: unexpected character in a name"),
        (r#"{{ ($x := "a") }}"#, "At 1:5: undefined variable $x"),
    ] {
        refuse(template, expect);
    }
}

#[test]
fn what_only_rendering_can_tell() {
    for (template, expect) in [
        (r#"{{"zz" | decode_hex}}"#, "At 1:10: decode_hex: the text is no hex"),
        (r#"{{"abc" | decode_hex}}"#, "At 1:11: decode_hex: the text is no hex"),
        (r#"{{decode_base64 "YWJjZA"}}"#, "At 1:3: decode_base64: the text is no base64"),
        (
            "{{$n := len \"\"}}\n {{truncate $n .RoleName}}",
            "At 2:4: the length for truncate must be at least 1",
        ),
        (
            r#"{{truncate_sha256 (len "12345678") .RoleName}}"#,
            "At 1:3: the length for truncate_sha256 must be at least 9",
        ),
    ] {
        let error = render(template).expect_err(template);
        assert_eq!(error.to_string(), expect, "{template}");
    }
}

/// The peer hands on half a character; a name with one is refused by databases.
#[test]
fn half_a_character_at_the_end_is_left_out() {
    check(r#"{{"é€" | truncate 1}}|{{"é€" | truncate 3}}|{{"é€" | truncate 5}}"#, "|é|é€");
    check(r#"{{"\xff\xfea"}}"#, "a");
    // Within, they are there: what is computed from them is what Go computes.
    check(r#"{{"é" | truncate 1 | hex}} {{"é" | truncate 1 | len}}"#, "c3 1");
}

#[test]
fn fields_are_those_that_the_engine_names() {
    let template = Template::parse("{{.Type}}-{{.PolicyName}}", &["Type", "PolicyName"]).unwrap();
    let rng = Alphabet(AtomicU8::new(0));
    let name = template.render(&[("PolicyName", "p"), ("Other", "x"), ("Type", "STS")], &rng, NOW);
    assert_eq!(name.unwrap(), "STS-p");
    assert_eq!(template.render(&[], &rng, NOW).unwrap(), "-");
    assert!(Template::parse("{{.RoleName}}", &["Type"]).is_err());
}

#[test]
fn random_characters_are_drawn_alike() {
    struct Bytes(AtomicU8);
    impl Rng for Bytes {
        fn fill(&self, out: &mut [u8]) {
            out.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        }
    }
    let template = Template::parse("{{random 248}}", &[]).unwrap();
    let drawn = template.render(&[], &Bytes(AtomicU8::new(250)), NOW).unwrap();
    // 250 to 255 are drawn again: of each character there are four.
    for c in ('0'..='9').chain('a'..='z').chain('A'..='Z') {
        assert_eq!(drawn.matches(c).count(), 4, "{c}");
    }
}

#[test]
fn bounds() {
    let taken = |template: &str| Template::parse(template, DATABASE_FIELDS).is_ok();
    let rendered = |template: &str| render(template).is_ok();

    assert!(taken(&"a".repeat(TEMPLATE_BYTES_MAX)));
    assert!(!taken(&"a".repeat(TEMPLATE_BYTES_MAX + 1)));
    assert!(!taken(""));

    let parentheses = |n| format!("{{{{{}1{}}}}}", "(".repeat(n), ")".repeat(n));
    assert!(rendered(&parentheses(DEPTH_MAX)) && !taken(&parentheses(DEPTH_MAX + 1)));
    let conditions = |n| format!("{}x{}", "{{if 1}}".repeat(n), "{{end}}".repeat(n));
    assert!(rendered(&conditions(DEPTH_MAX)) && !taken(&conditions(DEPTH_MAX + 1)));
    let others = |n| format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(n - 1));
    assert!(rendered(&others(DEPTH_MAX)) && !taken(&others(DEPTH_MAX + 1)));
    let pipes = |n| format!("{{{{1{}}}}}", "|print".repeat(n - 1));
    assert!(rendered(&pipes(DEPTH_MAX)) && !taken(&pipes(DEPTH_MAX + 1)));
    let inward = |n| format!("{{{{{}1{}}}}}", "print (".repeat(n), ")".repeat(n));
    assert!(rendered(&inward(DEPTH_MAX - 1)) && !taken(&inward(DEPTH_MAX)));

    assert!(rendered(&format!("{{{{random {RANDOM_MAX}}}}}")));
    assert!(!taken(&format!("{{{{random {}}}}}", RANDOM_MAX + 1)));
    assert!(rendered(&format!("{{{{printf \"%{WIDTH_MAX}.{WIDTH_MAX}d\" 1}}}}")));
    assert!(!taken(&format!("{{{{printf \"%{}d\" 1}}}}", WIDTH_MAX + 1)));
    assert!(!taken(&format!("{{{{printf \"%.{}d\" 1}}}}", WIDTH_MAX + 1)));
    assert!(!taken(&format!("{{{{printf \"%{}d\" 1}}}}", "9".repeat(40))));

    let blanks = |n: usize| format!("{{{{printf \"%{}d\" 1}}}}", WIDTH_MAX).repeat(n);
    let n = OUTPUT_BYTES_MAX / WIDTH_MAX;
    assert!(rendered(&blanks(n)) && !rendered(&(blanks(n) + "x")));
    // A value on the way that is too long, in all functions that make it longer.
    let double = |n, double: &str| format!("{{{{random 1024{}}}}}", double.repeat(n));
    assert!(rendered(&double(4, "|hex")) && !rendered(&double(5, "|hex")));
    assert!(!rendered(&double(20, "|base64")));
    assert!(!rendered(&double(3, r#"|replace "" "--------------""#)));
    assert!(!rendered(&double(20, r#"|replace "a" "aa""#)));
    let declared = "{{$x := printf \"%1024d\" 1}}".to_owned() + &"{{$x = print $x $x}}".repeat(5);
    assert!(!rendered(&declared));
    // Much work for nothing.
    let work = |n: usize| "{{$x := random 1024}}".to_owned() + &"{{if $x}}{{end}}".repeat(n);
    assert!(rendered(&work(500)) && !rendered(&work(WORK_BYTES_MAX / 1024 + 1)));
    let long = "x".repeat(OUTPUT_BYTES_MAX + 1);
    let template = Template::parse("{{.RoleName | len}}", DATABASE_FIELDS).unwrap();
    let rng = Alphabet(AtomicU8::new(0));
    assert!(template.render(&[("RoleName", &long)], &rng, NOW).is_err());
    assert!(template.render(&[("RoleName", &long[1..])], &rng, NOW).is_ok());
}

/// No error repeats a text of the template or the value of a field.
#[test]
fn errors_repeat_no_values() {
    for template in [
        r#"{{"hunter2" "x"}}"#,
        r#"{{"hunter2"#,
        r#"{{truncate "hunter2" "x"}}"#,
        r#"{{printf "hunter2 %z" "hunter2"}}"#,
        r#"{{eq "hunter2" 1}}"#,
        r#"{{"hunter2" | decode_hex}}"#,
        r#"{{"hunter2-" | decode_base64}}"#,
        r#"{{.RoleName | decode_hex}}"#,
        r#"{{"hunter2\q"}}"#,
        r#"hunter2{{if 1}}hunter2"#,
    ] {
        let error = render(template).expect_err(template).to_string();
        assert!(!error.contains("hunter2") && !error.contains("custom"), "{template}: {error}");
    }
}

/// The examples of the user's guide.
#[test]
fn the_guide_is_true() {
    let page = include_str!("../../../../docs/username-templates.md");
    let examples: Vec<&str> =
        page.split("```text\n").skip(1).filter_map(|block| block.split("```\n").next()).collect();
    let mut count = 0;
    let mut template = "";
    for line in examples.iter().flat_map(|block| block.lines()) {
        if let Some(name) = line.strip_prefix("  = ") {
            check(template, name);
            count += 1;
        } else if let Some(error) = line.strip_prefix("  ! ") {
            refuse(template, error);
            count += 1;
        } else {
            template = line;
        }
    }
    let lines: usize = examples.iter().map(|block| block.lines().count()).sum();
    assert!(count > 10 && count * 2 == lines, "{count} of {lines}");
    for function in functions::FUNCTIONS {
        assert!(page.contains(&format!("`{}", function.name)), "{}", function.name);
    }
}
