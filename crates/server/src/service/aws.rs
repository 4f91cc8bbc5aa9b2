//! The AWS door: which requests are for it, and its bounds.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use strongroom_base::Error;
use strongroom_doors::aws;
use strongroom_kernel::pipeline::{Bounds, handle, refuse};
use strongroom_kernel::plug::Beyond;
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
    ) -> (Response<Bytes>, Option<Beyond>) {
        let rules = &peer.listener.rules;
        let held = match body.at_most(aws::BODY_BYTES_MAX).read(Standing::Stranger).await {
            Ok(held) => held,
            Err(error) => {
                let form = aws::form_of(parts);
                return (self.refuse_aws(regions, peer, form, error.into()).await, None);
            }
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
                    let mut answer = handle(&self.node, call).await;
                    let beyond = answer.result.as_mut().ok().and_then(|reply| reply.beyond.take());
                    (aws::render(answering, answer), beyond.map(|beyond| *beyond))
                }
                Err((form, error)) => (self.refuse_aws(regions, peer, form, error).await, None),
            }
        });
        match self.gate.run(&peer.flow, work).await {
            Ok(response) => response,
            Err(Crowded) => {
                // The log is not to be written for what there is no time for.
                let crowded = Error::unavailable("Too many requests wait. Try again.");
                let form = aws::form_of(parts);
                (aws::failure(form, &crowded, &self.node.rng.uuid()), None)
            }
        }
    }

    /// Refuses a request of which nobody knows who sent it, once that is recorded.
    async fn refuse_aws(
        &self,
        regions: &aws::Regions,
        peer: &Peer,
        form: aws::Form,
        error: Error,
    ) -> Response<Bytes> {
        let call = match aws::refused(regions, kernel_peer(peer)) {
            Ok(call) => call,
            Err(error) => return aws::failure(form, &error, &self.node.rng.uuid()),
        };
        let answer = refuse(&self.node, call, error).await;
        let error = answer.result.err().unwrap_or_else(Error::denied);
        aws::failure(form, &error, &answer.request_id)
    }
}
