//! Counts calls against the quotas of the configuration.

use super::Kernel;
use crate::base::ctx::Ctx;
use crate::base::error::Refusal;
use crate::base::id::WorkspaceId;
use crate::guard::rate_limit::{Bucket, client_key, refusal};

impl Kernel {
    /// Counts an API call of the client. Call it before the caller is authenticated.
    ///
    /// # Errors
    /// `rate_limited`, with the time to wait.
    pub async fn limit_calls_of_client(&self, ctx: &Ctx) -> Result<(), Refusal> {
        self.limit_client(Bucket::ApiIp, ctx).await
    }

    /// Counts an API call in the workspace. Only the calls of those who may enter it are counted, so that a stranger cannot use
    /// up the quota of its members.
    pub(super) async fn limit_calls_in_workspace(&self, workspace: WorkspaceId) -> Result<(), Refusal> {
        self.limit(Bucket::ApiWorkspace, || workspace.to_string()).await
    }

    /// Counts a call of the client against the quota of `bucket`. Calls without a client, such as jobs, are not counted.
    pub(super) async fn limit_client(&self, bucket: Bucket, ctx: &Ctx) -> Result<(), Refusal> {
        match ctx.ip {
            Some(ip) => self.limit(bucket, || client_key(ip)).await,
            None => Ok(()),
        }
    }

    /// Counts a call against the quota of `bucket`. The key is only computed if the bucket has a quota.
    pub(super) async fn limit(&self, bucket: Bucket, key: impl FnOnce() -> String) -> Result<(), Refusal> {
        let Some(quota) = self.0.config.rate_limits.quota(bucket) else { return Ok(()) };
        self.0.limiter.check(bucket, &key(), quota).await.map_err(refusal)
    }
}
