//! The one integration-test binary of the product.
// A test that cannot be set up fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod acme;
mod age;
mod aws;
mod aws_every;
mod aws_founding;
mod aws_kms;
mod aws_ready;
mod aws_rotation;
mod aws_secrets;
mod aws_sops;
mod certs;
mod chance;
mod cli;
mod clouds;
mod configured;
mod databases;
mod disk;
mod drain;
mod git;
mod hardening;
mod hvac;
mod kubernetes;
mod ldap;
mod limits;
mod live;
mod mfa;
mod monitor;
mod oidc;
mod pki;
mod product;
mod recovery;
mod rotations;
mod seal_keys;
mod sinks;
mod snapshots;
mod sops;
mod sops_keys;
mod ssh;
mod totp;
mod transit;
mod typed;
mod up;
mod vaultrs_client;
