//! The AWS door: which requests are for it, and its bounds.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use strongroom_base::Error;
use strongroom_doors::aws;
use strongroom_kernel::pipeline::{Bounds, handle};
use tokio::time::Instant;

use super::{Doors, kernel_peer};
use crate::listen::fair::Crowded;
use crate::listen::{Door, DoorRules, Peer, RequestBody, Standing};

/// What the AWS door is told.
pub struct AwsSettings {
    /// Its regions.
    pub regions: Arc<aws::Regions>,
    /// Do all listeners serve it?
    pub everywhere: bool,
}

impl Doors {
    /// The regions of the AWS door, where the request is for it: on its own listener all are; on the
    /// others what no other door serves anyway, and looks like a request of AWS's clients.
    pub(super) fn aws_regions(
        &self,
        rules: &DoorRules,
        parts: &Parts,
    ) -> Option<&Arc<aws::Regions>> {
        let settings = self.settings.aws.as_ref()?;
        let ours = match rules.door {
            Door::Aws => true,
            Door::Vault => settings.everywhere && !rules.metrics_only && aws::is_for_us(parts),
        };
        ours.then_some(&settings.regions)
    }

    /// Serves a request of AWS's clients, within the same bounds as all others. Its body is part of
    /// what was signed, so it is read before anybody is known.
    pub(super) async fn handle_aws(
        &self,
        regions: &Arc<aws::Regions>,
        parts: &Parts,
        body: RequestBody,
        peer: &Peer,
    ) -> Response<Bytes> {
        let rules = &peer.listener.rules;
        let refuse = |form, error: &Error| aws::failure(form, error, &self.node.rng.uuid());
        let held = match body.at_most(aws::BODY_BYTES_MAX).read(Standing::Stranger).await {
            Ok(held) => held,
            Err(error) => return refuse(aws::form_of(parts), &error.into()),
        };
        let limit = rules.max_request_duration.unwrap_or(self.settings.max_request_duration);
        let deadline = Instant::now() + limit;
        let received = aws::Received {
            parts,
            body: held.bytes().clone(),
            peer: kernel_peer(peer),
            secure: peer.tls.is_some(),
            bounds: Bounds { deadline: Some(deadline), json: rules.json },
        };
        let work = pin!(async {
            match received.prepare(regions) {
                Ok(aws::Prepared { call, answer: answering }) => {
                    let answer = handle(&self.node, call).await;
                    aws::render(answering, answer)
                }
                Err((form, error)) => refuse(form, &error),
            }
        });
        match self.gate.run(&peer.flow, work).await {
            Ok(response) => response,
            Err(Crowded) => {
                let crowded = Error::unavailable("Too many requests wait. Try again.");
                refuse(aws::form_of(parts), &crowded)
            }
        }
    }
}
