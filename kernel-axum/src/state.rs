//! What every handler and middleware of the kernel shares.

use std::sync::Arc;

use saas_kernel::Kernel;
use saas_kernel::billing::processor::Processor;
use tokio::sync::watch;

use crate::settings::HttpSettings;
use crate::shutdown::{Phase, Shutdown};

/// The state of the kernel's own handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kernel: Kernel,
    http: HttpSettings,
    processor: Option<Processor>,
    phase: watch::Sender<Phase>,
}

impl Api {
    pub(crate) fn new(kernel: &Kernel, http: HttpSettings) -> Self {
        let (phase, _) = watch::channel(Phase::Serving);
        Self(Arc::new(Shared { kernel: kernel.clone(), http, processor: kernel.billing_processor(), phase }))
    }

    /// The kernel whose functions the handlers call.
    pub fn kernel(&self) -> &Kernel {
        &self.0.kernel
    }

    /// The public address, the trusted proxies and the limits of requests.
    pub fn http(&self) -> &HttpSettings {
        &self.0.http
    }

    /// Tells when the app stops.
    pub fn shutdown(&self) -> Shutdown {
        Shutdown::new(&self.0.phase)
    }

    /// Moves on to this phase of stopping; never back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.phase.send_if_modified(|now| {
            let later = *now < phase;
            *now = phase.max(*now);
            later
        });
    }

    pub(crate) fn body_limit(&self) -> BodyLimit {
        BodyLimit(self.0.http.body_limit)
    }

    /// The processor of billing events; `None` without a billing provider.
    pub(crate) fn processor(&self) -> Option<&Processor> {
        self.0.processor.as_ref()
    }
}

/// The largest request body that is read, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit(pub(crate) usize);

impl BodyLimit {
    pub(crate) fn allows(self, bytes: u64) -> bool {
        usize::try_from(bytes).is_ok_and(|bytes| bytes <= self.0)
    }
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self(64 * 1024)
    }
}
