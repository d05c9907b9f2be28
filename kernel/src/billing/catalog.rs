//! The plans: what each costs, allows and switches on. In order, cheapest first; the first is what everybody has who
//! pays nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::tenancy::members::SEATS;

/// How much of something a plan allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Cap {
    /// Up to this many.
    Finite(u64),
    /// Any number.
    Unlimited,
}

impl Cap {
    /// As stored: `None` is unlimited.
    pub fn stored(self) -> Option<i64> {
        match self {
            Cap::Finite(n) => Some(i64::try_from(n).unwrap_or(i64::MAX)),
            Cap::Unlimited => None,
        }
    }

    /// Whether `total` fits.
    pub fn allows(self, total: u64) -> bool {
        match self {
            Cap::Finite(n) => total <= n,
            Cap::Unlimited => true,
        }
    }
}

/// What a plan costs with one provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Price {
    /// In the currency's smallest unit, such as cents.
    pub amount: u64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Billed every month or every year.
    pub interval: Interval,
    /// The provider's price id or lookup key that stands for this price.
    pub provider_price: Option<String>,
}

/// How often a price is billed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

/// A plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// As stored and as named in refusals.
    pub key: String,
    /// As shown.
    pub name: String,
    /// What it costs; empty for the free plan.
    pub prices: Vec<Price>,
    /// What it switches on.
    pub features: BTreeSet<String>,
    /// How much it allows, by limit key. Every plan names every limit.
    pub limits: BTreeMap<String, Cap>,
}

/// All plans, cheapest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catalog {
    free: Arc<Plan>,
    plans: Vec<Arc<Plan>>,
}

/// A mistake in a catalog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CatalogProblem {
    /// The index of the plan it is about.
    pub plan: usize,
    /// What is wrong and what would be right.
    pub text: String,
}

impl Catalog {
    /// Checks and keeps the plans.
    ///
    /// # Errors
    /// One sentence per mistake: no plan, a key or a provider price used twice, a plan without one of the others' limits.
    pub fn new(mut plans: Vec<Plan>) -> Result<Self, Vec<CatalogProblem>> {
        let mut problems = Vec::new();
        if !plans.iter().any(|plan| plan.limits.contains_key(SEATS)) {
            // Members are counted in every workspace.
            for plan in &mut plans {
                plan.limits.insert(SEATS.to_owned(), Cap::Unlimited);
            }
        }
        let keys: BTreeSet<String> = plans.iter().flat_map(|plan| plan.limits.keys().cloned()).collect();
        let mut seen = BTreeSet::new();
        for (index, plan) in plans.iter().enumerate() {
            let mut problem = |text| problems.push(CatalogProblem { plan: index, text });
            if !seen.insert(format!("plan {}", plan.key)) {
                problem(format!("plan `{}` is defined twice; rename one", plan.key));
            }
            if plan.limits.get(SEATS) == Some(&Cap::Finite(0)) {
                problem(format!("plan `{}` allows no `{SEATS}`; its owner is one", plan.key));
            }
            for price in plan.prices.iter().filter_map(|price| price.provider_price.as_ref()) {
                if !seen.insert(format!("price {price}")) {
                    problem(format!("price `{price}` stands twice; a price belongs to one plan"));
                }
            }
            for key in keys.iter().filter(|key| !plan.limits.contains_key(*key)) {
                problem(format!("plan `{}` does not say how many `{key}` it allows; add it, or `unlimited`", plan.key));
            }
        }
        let plans: Vec<Arc<Plan>> = plans.into_iter().map(Arc::new).collect();
        match plans.first() {
            None => {
                let text = "there is no plan; the first one is what everybody has who pays nothing".to_owned();
                Err(vec![CatalogProblem { plan: 0, text }])
            }
            Some(_) if !problems.is_empty() => Err(problems),
            Some(free) => Ok(Self { free: free.clone(), plans }),
        }
    }

    /// Cheapest first.
    pub fn plans(&self) -> &[Arc<Plan>] {
        &self.plans
    }

    /// What everybody has who pays nothing.
    pub fn free(&self) -> &Arc<Plan> {
        &self.free
    }

    /// The plan of that key.
    pub fn plan(&self, key: &str) -> Option<&Arc<Plan>> {
        self.plans.iter().find(|plan| plan.key == key)
    }

    /// The plan a workspace is on: the free one without a key, and for a plan that is no longer offered.
    pub fn plan_of(&self, key: Option<&str>) -> &Arc<Plan> {
        key.and_then(|key| self.plan(key)).unwrap_or(&self.free)
    }

    /// The plan that a provider's price id or lookup key stands for.
    pub fn plan_for_price(&self, price: &str) -> Option<&Arc<Plan>> {
        self.plans.iter().find(|plan| plan.prices.iter().any(|p| p.provider_price.as_deref() == Some(price)))
    }

    /// The cheapest plan that allows `total` of `limit`.
    pub fn unlocks(&self, limit: &str, total: u64) -> Option<&Arc<Plan>> {
        self.plans.iter().find(|plan| plan.limits.get(limit).is_some_and(|cap| cap.allows(total)))
    }

    /// The cheapest plan with `feature`.
    pub fn unlocks_feature(&self, feature: &str) -> Option<&Arc<Plan>> {
        self.plans.iter().find(|plan| plan.features.contains(feature))
    }

    /// Changes exactly when some plan's limits change: tells whether stored caps are up to date.
    pub fn limits_fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for plan in &self.plans {
            for (key, cap) in &plan.limits {
                hash.update(format!("{}\n{key}\n{:?}\n", plan.key, cap.stored()));
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan(key: &str, price_id: Option<&str>, projects: Cap) -> Plan {
        let prices = price_id.map(|id| Price {
            amount: 2900,
            currency: "usd".to_owned(),
            interval: Interval::Month,
            provider_price: Some(id.to_owned()),
        });
        Plan {
            key: key.to_owned(),
            name: key.to_owned(),
            prices: prices.into_iter().collect(),
            features: BTreeSet::new(),
            limits: [("projects".to_owned(), projects)].into(),
        }
    }

    pub(crate) fn catalog() -> Catalog {
        let plans = vec![
            plan("free", None, Cap::Finite(5)),
            plan("starter", Some("price_starter"), Cap::Finite(50)),
            plan("pro", Some("price_pro"), Cap::Unlimited),
        ];
        Catalog::new(plans).unwrap()
    }

    #[test]
    fn the_cheapest_plan_that_fits_unlocks() {
        let catalog = catalog();
        for (total, expect) in [(1, "free"), (5, "free"), (6, "starter"), (51, "pro")] {
            assert_eq!(catalog.unlocks("projects", total).unwrap().key, expect);
        }
        assert!(catalog.unlocks("seats", 1).is_none());
        assert_eq!(catalog.plan_for_price("price_pro").unwrap().key, "pro");
        assert_eq!(catalog.plan_of(Some("gone")).key, "free");
    }

    #[test]
    fn mistakes_are_named() {
        let mut other = plan("free", Some("price_starter"), Cap::Unlimited);
        other.limits = [("seats".to_owned(), Cap::Unlimited)].into();
        let problems = Catalog::new(vec![plan("free", Some("price_starter"), Cap::Unlimited), other]).unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(Catalog::new(vec![]).is_err());
    }
}
