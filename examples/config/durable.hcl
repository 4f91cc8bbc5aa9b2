# One node on its embedded store, with TLS.
storage "file" {
  path = "/var/lib/strongroom"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/strongroom/cert.pem"
  tls_key_file  = "/etc/strongroom/key.pem"
}

api_addr  = "https://vault.example.com:8200"
log_level = "info"
