//! The public contracts, on the in-process adapters.

use saas_kernel::clock::{SystemClock, TestClock};
use saas_kernel::conformance;
use saas_kernel::memory::billing::MemoryBilling;
use saas_kernel::memory::mailer::MemoryMailer;
use saas_kernel::memory::rate_limit::MemoryRateLimiter;

#[tokio::test]
async fn rate_limiter() -> conformance::Outcome {
    conformance::rate_limiter(&MemoryRateLimiter::default()).await
}

#[tokio::test]
async fn billing_provider() -> conformance::Outcome {
    let billing = MemoryBilling::default();
    conformance::billing_provider(&billing, &billing).await
}

#[tokio::test]
async fn mailer() -> conformance::Outcome {
    let mailer = MemoryMailer::default();
    conformance::mailer(&mailer, &mailer).await
}

#[tokio::test]
async fn clock() -> conformance::Outcome {
    conformance::clock(&SystemClock).await?;
    conformance::clock(&TestClock::at("2026-03-04T05:06:07.123456789Z".parse()?)).await?;
    conformance::clock(&TestClock::running()).await
}
