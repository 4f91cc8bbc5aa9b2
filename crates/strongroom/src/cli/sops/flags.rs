//! The flags of the commands, in groups that go together.

use super::options::Flag;

const TYPES: &str = "currently ini, json, yaml, dotenv and binary are supported. If not set, sops will use the \
                     file's extension to determine the type";
const OUTPUT_TYPES: &str = "currently ini, json, yaml, dotenv and binary are supported. If not set, sops will use \
                            the input file's extension to determine the output format";
const OVERRIDE: &str = "Use this filename instead of the provided argument for loading configuration, and for \
                        determining input type and output type";
const THRESHOLD_USAGE: &str =
    "the number of master keys required to retrieve the data key with shamir";

/// `services`.
pub const SERVICES: &[Flag] = &[
    Flag::bool_true(&["enable-local-keyservice"], "use local key service")
        .or("SOPS_ENABLE_LOCAL_KEYSERVICE"),
    Flag::list(
        &["keyservice"],
        "Specify the key services to use in addition to the local one. Can be specified more than \
         once. Syntax: protocol://address. Example: tcp://myserver.com:5000",
    )
    .or("SOPS_KEYSERVICE"),
];

/// `keys`.
pub const KEYS: &[Flag] = &[
    Flag::text(&["kms", "k"], "comma separated list of KMS ARNs").or("SOPS_KMS_ARN"),
    Flag::text(&["aws-profile"], "The AWS profile to use for requests to AWS"),
    Flag::text(&["gcp-kms"], "comma separated list of GCP KMS resource IDs").or("SOPS_GCP_KMS_IDS"),
    Flag::text(
        &["hckms"],
        "comma separated list of HuaweiCloud KMS key IDs (format: region:key-uuid)",
    )
    .or("SOPS_HUAWEICLOUD_KMS_IDS"),
    Flag::text(&["azure-kv"], "comma separated list of Azure Key Vault URLs")
        .or("SOPS_AZURE_KEYVAULT_URLS"),
    Flag::text(
        &["hc-vault-transit"],
        "comma separated list of vault's key URI (e.g. \
         'https://vault.example.org:8200/v1/transit/keys/dev')",
    )
    .or("SOPS_VAULT_URIS"),
    Flag::text(&["pgp", "p"], "comma separated list of PGP fingerprints").or("SOPS_PGP_FP"),
    Flag::text(&["age", "a"], "comma separated list of age recipients").or("SOPS_AGE_RECIPIENTS"),
];

/// `context`.
pub const CONTEXT: &[Flag] = &[Flag::text(
    &["encryption-context"],
    "comma separated list of KMS encryption context key:value pairs",
)];
/// `threshold`.
pub const THRESHOLD: &[Flag] = &[Flag::int(&["shamir-secret-sharing-threshold"], THRESHOLD_USAGE)];

/// `rules`.
pub const RULES: &[Flag] = &[
    Flag::text(&["unencrypted-suffix"], "override the unencrypted key suffix."),
    Flag::text(
        &["encrypted-suffix"],
        "override the encrypted key suffix. When empty, all keys will be encrypted, unless otherwise \
         marked with unencrypted-suffix.",
    ),
    Flag::text(
        &["unencrypted-regex"],
        "set the unencrypted key regex. When specified, only keys matching the regex will be left \
         unencrypted.",
    ),
    Flag::text(
        &["encrypted-regex"],
        "set the encrypted key regex. When specified, only keys matching the regex will be encrypted.",
    ),
];

/// `comment rules`.
pub const COMMENT_RULES: &[Flag] = &[
    Flag::text(
        &["unencrypted-comment-regex"],
        "set the unencrypted comment suffix. When specified, only keys that have comment matching the \
         regex will be left unencrypted.",
    ),
    Flag::text(
        &["encrypted-comment-regex"],
        "set the encrypted comment suffix. When specified, only keys that have comment matching the \
         regex will be encrypted.",
    ),
];

/// `changes`.
pub const CHANGES: &[Flag] = &[
    Flag::text(
        &["add-gcp-kms"],
        "add the provided comma-separated list of GCP KMS key resource IDs to the list of master keys on the given file",
    ),
    Flag::text(
        &["rm-gcp-kms"],
        "remove the provided comma-separated list of GCP KMS key resource IDs from the list of master keys on the given file",
    ),
    Flag::text(
        &["add-hckms"],
        "add the provided comma-separated list of HuaweiCloud KMS key IDs (format: region:key-uuid) to the list of master keys on the given file",
    ),
    Flag::text(
        &["rm-hckms"],
        "remove the provided comma-separated list of HuaweiCloud KMS key IDs (format: region:key-uuid) from the list of master keys on the given file",
    ),
    Flag::text(
        &["add-azure-kv"],
        "add the provided comma-separated list of Azure Key Vault key URLs to the list of master keys on the given file",
    ),
    Flag::text(
        &["rm-azure-kv"],
        "remove the provided comma-separated list of Azure Key Vault key URLs from the list of master keys on the given file",
    ),
    Flag::text(
        &["add-kms"],
        "add the provided comma-separated list of KMS ARNs to the list of master keys on the given file",
    ),
    Flag::text(
        &["rm-kms"],
        "remove the provided comma-separated list of KMS ARNs from the list of master keys on the given file",
    ),
    Flag::text(
        &["add-hc-vault-transit"],
        "add the provided comma-separated list of Vault's URI key to the list of master keys on the given file",
    ),
    Flag::text(
        &["rm-hc-vault-transit"],
        "remove the provided comma-separated list of Vault's URI key from the list of master keys on the given file",
    ),
    Flag::text(
        &["add-age"],
        "add the provided comma-separated list of age recipients to the list of master keys on the given file",
    ),
    Flag::text(
        &["rm-age"],
        "remove the provided comma-separated list of age recipients from the list of master keys on the given file",
    ),
    Flag::text(
        &["add-pgp"],
        "add the provided comma-separated list of PGP fingerprints to the list of master keys on the given file",
    ),
    Flag::text(
        &["rm-pgp"],
        "remove the provided comma-separated list of PGP fingerprints from the list of master keys on the given file",
    ),
];

/// `in type`.
pub const IN_TYPE: &[Flag] = &[Flag::text(&["input-type"], TYPES)];
/// `out type`.
pub const OUT_TYPE: &[Flag] = &[Flag::text(&["output-type"], OUTPUT_TYPES)];
/// `in place`.
pub const IN_PLACE: &[Flag] =
    &[Flag::bool(&["in-place", "i"], "write output back to the same file instead of stdout")];
/// `output`.
pub const OUTPUT: &[Flag] = &[Flag::text(
    &["output"],
    "Save the output after encryption or decryption to the file specified",
)];
/// `extract`.
pub const EXTRACT: &[Flag] = &[Flag::text(
    &["extract"],
    "extract a specific key or branch from the input document. Example: --extract \
     '[\"somekey\"][0]'",
)];
/// `ignore mac`.
pub const IGNORE_MAC: &[Flag] =
    &[Flag::bool(&["ignore-mac"], "ignore Message Authentication Code during decryption")];
/// `filename override`.
pub const FILENAME_OVERRIDE: &[Flag] = &[Flag::text(&["filename-override"], OVERRIDE)];
/// `order`.
pub const ORDER: &[Flag] =
    &[Flag::text(&["decryption-order"], "comma separated list of decryption key types")
        .or("SOPS_DECRYPTION_ORDER")];
/// `show keys`.
pub const SHOW_KEYS: &[Flag] = &[Flag::bool(
    &["show-master-keys", "s"],
    "display master encryption keys in the file during editing",
)];
/// `verbose`.
pub const VERBOSE: &[Flag] = &[Flag::bool(&["verbose"], "Enable verbose logging output")];
/// `yes`.
pub const YES: &[Flag] =
    &[Flag::bool(&["yes", "y"], "pre-approve all changes and run non-interactively")];
/// `background`.
pub const BACKGROUND: &[Flag] = &[
    Flag::bool(
        &["background"],
        "background the process and don't wait for it to complete (DEPRECATED)",
    ),
    Flag::text(&["user"], "the user to run the command as"),
];
/// `exec env`.
pub const EXEC_ENV: &[Flag] = &[
    Flag::bool(
        &["pristine"],
        "insert only the decrypted values into the environment without forwarding existing \
         environment variables",
    ),
    Flag::bool(
        &["same-process"],
        "run command in the current process instead of in a child process",
    ),
];
/// `exec file`.
pub const EXEC_FILE: &[Flag] = &[
    Flag::bool(
        &["no-fifo"],
        "use a regular file instead of a fifo to temporarily hold the decrypted contents",
    ),
    Flag::text(&["filename"], "filename for the temporary file (default: tmp-file)"),
];
/// `publish`.
pub const PUBLISH: &[Flag] = &[
    Flag::bool(
        &["omit-extensions"],
        "Omit file extensions in destination path when publishing sops file to configured \
         destinations",
    ),
    Flag::bool(
        &["recursive"],
        "If the source path is a directory, publish all its content recursively",
    ),
];
/// `keyservice`.
pub const KEYSERVICE: &[Flag] = &[
    Flag::text(&["network", "net"], "network to listen on, e.g. 'tcp' or 'unix'").default("tcp"),
    Flag::text(
        &["address", "addr"],
        "address to listen on, e.g. '127.0.0.1:5000' or '/tmp/sops.sock'",
    )
    .default("127.0.0.1:5000"),
    Flag::bool(&["prompt"], "Prompt user to confirm every incoming request"),
];
/// `group file`.
pub const GROUP_FILE: &[Flag] = &[Flag::text(&["file", "f"], "the file to add the group to")];
/// `group keys`.
pub const GROUP_KEYS: &[Flag] = &[
    Flag::list(&["pgp"], "the PGP fingerprints the new group should contain. Can be repeated"),
    Flag::list(&["kms"], "the KMS ARNs the new group should contain. Can be repeated"),
    Flag::text(&["aws-profile"], "The AWS profile to use for requests to AWS"),
    Flag::list(
        &["gcp-kms"],
        "the GCP KMS Resource ID the new group should contain. Can be repeated",
    ),
    Flag::list(
        &["hckms"],
        "the HuaweiCloud KMS key ID the new group should contain. Can be repeated",
    ),
    Flag::list(
        &["azure-kv"],
        "the Azure Key Vault key URL the new group should contain. Can be repeated",
    ),
    Flag::list(
        &["hc-vault-transit"],
        "the full vault path to the key used to encrypt/decrypt. Can be repeated",
    ),
    Flag::list(&["age"], "the age recipient the new group should contain. Can be repeated"),
];
/// `value`.
pub const VALUE: &[Flag] = &[
    Flag::bool(
        &["value-file"],
        "treat 'value' as a file to read the actual value from (avoids leaking secrets in process \
         listings). Mutually exclusive with --value-stdin",
    ),
    Flag::bool(
        &["value-stdin"],
        "read the value from stdin; the 'value' argument to 'set' is not needed in this case (avoids \
         leaking secrets in process listings). Mutually exclusive with --value-file",
    ),
];
/// `set idempotent`.
pub const SET_IDEMPOTENT: &[Flag] =
    &[Flag::bool(&["idempotent"], "do nothing if the given index already has the given value")];
/// `unset idempotent`.
pub const UNSET_IDEMPOTENT: &[Flag] =
    &[Flag::bool(&["idempotent"], "do nothing if the given index does not exist")];

/// `modes`.
pub const MODES: &[Flag] = &[
    Flag::bool(&["decrypt", "d"], "decrypt a file and output the result to stdout"),
    Flag::bool(&["encrypt", "e"], "encrypt a file and output the result to stdout"),
    Flag::bool(
        &["rotate", "r"],
        "generate a new data encryption key and reencrypt all values with the new key",
    ),
    Flag::bool(
        &["disable-version-check"],
        "has no effect: nothing is ever asked for a newer version",
    )
    .or("SOPS_DISABLE_VERSION_CHECK"),
    Flag::bool(&["check-for-updates"], "has no effect: nothing is ever asked for a newer version"),
];
/// `top`.
pub const TOP: &[Flag] = &[
    Flag::bool(&["mac-only-encrypted"], "compute MAC only over values which end up encrypted"),
    Flag::text(
        &["config"],
        "path to sops' config file. If set, sops will not search for the config file recursively.",
    )
    .or("SOPS_CONFIG"),
    Flag::text(
        &["set"],
        "set a specific key or branch in the input document. value must be a json encoded string. \
         (edit mode only). eg. --set '[\"somekey\"][0] {\"somevalue\":true}'",
    ),
    Flag::int(&["indent"], "the number of spaces to indent YAML or JSON encoded file"),
];
/// `import`.
pub const IMPORT: &[Flag] = &[Flag::int(
    &["cas"],
    "write only if the secret's newest version is this one; 0 if there is none",
)];
/// `transfer`.
pub const TRANSFER: &[Flag] = &[
    Flag::bool(&["recursive", "r"], "take a folder with all that is in it"),
    Flag::bool(&["dry-run"], "tell what would be written, and write nothing"),
];
/// `forced`.
pub const FORCED: &[Flag] = &[Flag::bool(&["force", "f"], "replace files that are there")];
/// `globally`.
pub const GLOBALLY: &[Flag] =
    &[Flag::bool(&["global"], "for all repositories of yours, not for this one alone")];
