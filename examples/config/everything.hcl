# Most of what can be set, as an example; none of it is needed.
storage "file" {
  path = "/var/lib/strongroom"
}

# Behind a load balancer that speaks the PROXY protocol, with client certificates.
listener "tcp" {
  address                            = "10.0.0.5:8200"
  tls_cert_file                      = "/etc/strongroom/cert.pem"
  tls_key_file                       = "/etc/strongroom/key.pem"
  tls_min_version                    = "tls13"
  tls_require_and_verify_client_cert = true
  tls_client_ca_file                 = "/etc/strongroom/clients.pem"
  proxy_protocol_behavior            = "deny_unauthorized"
  proxy_protocol_authorized_addrs    = ["10.0.0.0/28"]
  http_read_header_timeout           = "5s"
  max_request_size                   = 8388608
  max_request_duration               = "30s"
  disable_unauthed_rekey_endpoints   = true
  custom_response_headers {
    "default" = {
      "X-Frame-Options" = ["DENY"]
    }
  }
}

# For programs on the same machine.
listener "unix" {
  address      = "/run/strongroom/api.sock"
  socket_mode  = "0660"
  socket_group = "0"
}

# Opens the store at start; key holders' shares still exist.
seal "static" {
  current_key_id = "2026-01"
  current_key    = "file:///etc/strongroom/seal.key"
}

audit "file" "copy" {
  description = "a copy for the log shipper"
  options {
    file_path = "/var/log/strongroom/audit.log"
  }
}

user_lockout "userpass" {
  lockout_threshold = 10
  lockout_duration  = "30m"
}

api_addr                       = "https://vault.example.com:8200"
default_lease_ttl              = "24h"
max_lease_ttl                  = "720h"
default_max_request_duration   = "60s"
unsafe_allow_api_audit_creation = false
log_format                     = "json"
log_file                       = "/var/log/strongroom/server.log"
log_rotate_bytes               = 104857600
log_rotate_max_files           = 10
pid_file                       = "/run/strongroom/pid"

# What the peers do not have.
strongroom {
  audit_dir                = "/var/log/strongroom/audit"
  audit_retention          = "400d"
  connections_max          = 8192
  connections_per_peer_max = 4096
  drain_timeout            = "20s"
}
