//! `sys/generate-root/*` (API page "/sys/generate-root"): a new root token, authorised by shares,
//! encoded so that only who began can read it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use strongroom_base::{Error, Result, SecretBytes, SecretString, fields};
use strongroom_kernel::node::{Node, root_token};
use strongroom_kernel::plug::{NodeCall, NodeOp, Reply, ops};
use strongroom_kernel::seal::ceremony::{GenerateRootStatus, Progress, RootPlan, Share};

use super::rekey::{authority, open};

/// Characters of a one-time pad: those of a token with its prefix.
const OTP_CHARS: usize = 28;

fields! {
    /// Tells how far the root generation under way is.
    pub struct ReadAttempt {}
}

ops! { ReadAttempt GenerateRootStatus, Read; }

impl NodeOp for ReadAttempt {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<GenerateRootStatus>> {
        let (_, set) = open(node, call).await?;
        let required = usize::from(set.threshold);
        Ok(Reply::data(node.ceremonies.lock().root.status(required, OTP_CHARS)).bare())
    }
}

fields! {
    /// Begins to generate a root token.
    pub struct StartAttempt {
        /// A one-time pad of 28 characters; drawn and shown once if not given.
        otp: Option<SecretString>,
        /// A public OpenPGP key to encrypt the token to instead.
        pgp_key: Option<String>,
    }
}

ops! { StartAttempt GenerateRootStatus, Write; }

impl NodeOp for StartAttempt {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<GenerateRootStatus>> {
        let (_, set) = open(node, call).await?;
        let now = node.clock.now();
        let required = usize::from(set.threshold);
        if node.ceremonies.lock().root.plan().is_some() {
            return Err(Error::bad_request("root generation already in progress"));
        }
        let otp = self.otp.as_ref().map_or("", |o| o.expose_secret().as_str());
        let pgp_key = self.pgp_key.unwrap_or_default();
        let plan = RootPlan::new(otp, &pgp_key, OTP_CHARS, &*node.rng, now)?;
        let drawn = if otp.is_empty() { plan.otp().map(SecretString::duplicate) } else { None };
        let mut ceremonies = node.ceremonies.lock();
        ceremonies.root.start(plan, required, &*node.rng, now)?;
        let mut status = ceremonies.root.status(required, OTP_CHARS);
        if let Some(otp) = drawn {
            status.otp = otp.expose_secret().clone();
        }
        Ok(Reply::data(status).bare())
    }
}

fields! {
    /// Gives the root generation under way up.
    pub struct CancelAttempt {
        /// The nonce of the generation: needed once a share has been given.
        nonce: Option<String>,
    }
}

ops! { CancelAttempt (), Delete; }

impl NodeOp for CancelAttempt {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<()>> {
        open(node, call).await?;
        let authority = authority(node, call, self.nonce.as_deref()).await?;
        node.ceremonies.lock().root.cancel(authority, node.clock.now())?;
        Ok(Reply::none())
    }
}

fields! {
    /// Gives one share; with the last one needed the answer carries the token, encoded.
    pub struct UpdateAttempt {
        /// The share.
        key: Option<SecretString>,
        /// The nonce of the generation.
        nonce: Option<String>,
    }
}

ops! { UpdateAttempt GenerateRootStatus, Write; }

impl NodeOp for UpdateAttempt {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<GenerateRootStatus>> {
        let (services, set) = open(node, call).await?;
        let now = node.clock.now();
        let required = usize::from(set.threshold);
        let share = Share::parse(self.key.as_ref().map_or("", |k| k.expose_secret().as_str()))?;
        let nonce = self.nonce.unwrap_or_default();
        let progress = node.ceremonies.lock().root.offer(&nonce, share, now)?;
        let Progress::Key(key) = progress else {
            return Ok(Reply::data(node.ceremonies.lock().root.status(required, 0)).bare());
        };
        if !services.is_share_key(&set, key.expose_secret()).await? {
            return Err(Error::bad_request("unable to validate the given key shares"));
        }
        let tx = services.store.begin();
        let created = services.tokens.create(&tx, root_token(), "", now)?;
        tx.commit().await?;
        let plan = node.ceremonies.lock().root.finish();
        let plan = plan.ok_or_else(|| Error::bad_request("no root generation in progress"))?;
        let encoded = plan.encode(&created.text, &*node.rng)?;
        Ok(Reply::data(GenerateRootStatus::finished(&nonce, required, &plan, &encoded)).bare())
    }
}

fields! {
    /// Decodes a token that was encoded with a one-time pad.
    pub struct DecodeToken {
        /// The encoded token, base64.
        encoded_token: SecretString,
        /// The pad.
        otp: SecretString,
    }
}

/// `sys/decode-token`.
#[derive(serde::Serialize)]
pub struct DecodedToken {
    #[serde(serialize_with = "crate::sys::expose")]
    token: SecretString,
}

ops! { DecodeToken DecodedToken, Write; }

impl NodeOp for DecodeToken {
    async fn run(self, _: &Arc<Node>, _: &NodeCall<'_>) -> Result<Reply<DecodedToken>> {
        let text = self.encoded_token.expose_secret().trim_end_matches('=');
        let bytes = STANDARD_NO_PAD.decode(text).map(SecretBytes::new);
        let bytes = bytes.map_err(|_| Error::bad_request("error decoding base64'd token"))?;
        let (bytes, pad) = (bytes.expose_secret(), self.otp.expose_secret().as_bytes());
        if bytes.len() != pad.len() {
            return Err(Error::bad_request("the token and the pad have different lengths"));
        }
        let plain: Vec<u8> = bytes.iter().zip(pad).map(|(byte, pad)| byte ^ pad).collect();
        let token = String::from_utf8(plain)
            .map_err(|_| Error::bad_request("the token does not fit the pad"))?;
        Ok(Reply::data(DecodedToken { token: SecretString::new(token) }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use strongroom_base::SecretString;
    use strongroom_kernel::plug::{NodeCall, NodeOp, Verb};

    use super::DecodeToken;

    #[tokio::test]
    async fn a_token_is_decoded_with_its_pad() {
        let node = crate::testing::node().await;
        let peer = Default::default();
        let call = NodeCall {
            peer: &peer,
            token: None,
            query: &[],
            verb: Verb::Write,
            authorised: false,
            wraps: false,
        };
        let decode = async |encoded: &str, otp: &str| {
            let secret = |text: &str| SecretString::new(text.to_owned());
            let op = DecodeToken { encoded_token: secret(encoded), otp: secret(otp) };
            let reply = op.run(&Arc::clone(&node.node), &call).await;
            reply.map(|r| r.data.expect("data").token.expose_secret().clone()).map_err(|e| e.public)
        };
        let xor: Vec<u8> = b"hvs.abc".iter().zip(b"1234567").map(|(a, b)| a ^ b).collect();
        let encoded = STANDARD_NO_PAD.encode(xor);
        assert_eq!(decode(&encoded, "1234567").await.as_deref(), Ok("hvs.abc"));
        for (encoded, otp) in [("!", "1"), (encoded.as_str(), "1"), ("/////////w", "1234567")] {
            let refused = decode(encoded, otp).await.expect_err("refused");
            assert!(!refused.concat().contains(otp) || otp == "1", "{refused:?}");
        }
    }
}
