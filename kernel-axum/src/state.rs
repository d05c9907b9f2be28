//! What every handler and middleware of the kernel shares.

use std::sync::Arc;

use saas_kernel::Kernel;
use saas_kernel::billing::processor::Processor;

use crate::settings::HttpSettings;

/// The state of the kernel's own handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kernel: Kernel,
    http: HttpSettings,
    processor: Option<Processor>,
}

impl Api {
    pub(crate) fn new(kernel: &Kernel, http: HttpSettings) -> Self {
        Self(Arc::new(Shared { kernel: kernel.clone(), http, processor: kernel.billing_processor() }))
    }

    /// The kernel whose functions the handlers call.
    pub fn kernel(&self) -> &Kernel {
        &self.0.kernel
    }

    /// The public address, the trusted proxies and the limits of requests.
    pub fn http(&self) -> &HttpSettings {
        &self.0.http
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
