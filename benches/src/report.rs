//! Medians over rounds, as a table.

use std::fmt::Write as _;

use crate::variants::{Group, Variant};

/// One variant in one round.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sample {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub server_us: Option<f64>,
    pub postgres_us: Option<f64>,
}

/// One variant: its rounds, and what one request of it asks of Postgres.
#[derive(Clone, Default)]
pub(crate) struct Measured {
    pub samples: Vec<Sample>,
    pub statements: f64,
    pub round_trips: f64,
}

/// The median; the lower one of two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// Markdown. The ratio is the median of each round's own ratio to the base: what the machine did meanwhile hits both.
pub(crate) fn table(group: &Group, measured: &[Measured]) -> String {
    let mut text = format!(
        "\n### {}\n\n| | req/s | of by hand | p50 ms | p99 ms | statements | round trips | server CPU µs | Postgres CPU µs |\n|---|---|---|---|---|---|---|---|---|\n",
        group.title
    );
    let base = measured.get(group.base).map(|base| base.samples.as_slice()).unwrap_or_default();
    for (Variant { name, .. }, measured) in group.variants.iter().zip(measured) {
        let of = |field: fn(&Sample) -> f64| median(measured.samples.iter().map(field));
        let cpu = |field: fn(&Sample) -> Option<f64>| match median(measured.samples.iter().filter_map(field)) {
            unknown if unknown.is_nan() => String::new(),
            known => format!("{known:.0}"),
        };
        let ratios: Vec<f64> =
            measured.samples.iter().zip(base).map(|(sample, base)| sample.per_second / base.per_second).collect();
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(0.0, f64::max);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {:.0} | {:.2} ({low:.2}–{high:.2}) | {:.2} | {:.2} | {:.1} | {:.1} | {} | {} |",
            of(|sample| sample.per_second),
            median(ratios.iter().copied()),
            of(|sample| sample.p50_ms),
            of(|sample| sample.p99_ms),
            measured.statements,
            measured.round_trips,
            cpu(|sample| sample.server_us),
            cpu(|sample| sample.postgres_us),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.0).abs() < f64::EPSILON);
        assert!(median(std::iter::empty()).is_nan());
    }
}
