//! The catalog of plans: what each plan costs, its limits and its features. Plans are ordered cheapest first; the first one is
//! the free plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::base::settings::checked;

/// Key of the limit that members count against. If no plan has this limit, the number of members is unlimited.
pub const SEATS: &str = "members";

/// Upper bound of a limit in a plan. In `product.config.yaml`: a number such as `50`, or `unlimited`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Cap {
    /// At most this many.
    Finite(u64),
    /// No upper bound.
    Unlimited,
}

impl Cap {
    /// The value as stored in the database; `None` means unlimited.
    pub fn stored(self) -> Option<i64> {
        match self {
            Cap::Finite(n) => Some(i64::try_from(n).unwrap_or(i64::MAX)),
            Cap::Unlimited => None,
        }
    }

    /// Whether `total` is within the bound.
    pub fn allows(self, total: u64) -> bool {
        match self {
            Cap::Finite(n) => total <= n,
            Cap::Unlimited => true,
        }
    }
}

/// Price of a plan with one billing provider.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Amount in the currency's smallest unit, such as cents.
    pub amount: u64,
    /// Currency code of ISO 4217, in lower case.
    #[serde(deserialize_with = "currency")]
    pub currency: String,
    /// Billing interval: a month or a year.
    pub interval: Interval,
    /// The provider's price id or lookup key for this price.
    #[serde(default)]
    pub provider_price: Option<String>,
}

/// Billing interval of a price.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Interval {
    /// Billed every month.
    Month,
    /// Billed every year.
    Year,
}

/// How much of its plan a workspace may use, given the state of its subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Access {
    /// The whole plan.
    Full,
    /// The whole plan, while the provider retries a failed payment.
    Grace,
    /// Data can be read but not changed.
    ReadOnly,
    /// Nothing of the paid plan; the free plan applies.
    None,
}

impl Access {
    /// The value as stored in the database and shown in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Access::Full => "full",
            Access::Grace => "grace",
            Access::ReadOnly => "read_only",
            Access::None => "none",
        }
    }

    /// Parses the stored value; `None` if it is unknown.
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Full, Self::Grace, Self::ReadOnly, Self::None].into_iter().find(|access| access.as_str() == text)
    }
}

/// A plan of the catalog, as configured under `plans` in `product.config.yaml`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Key of the plan, as stored and as named in refusals.
    pub key: String,
    /// Name of the plan, as shown to people.
    pub name: String,
    /// Prices of the plan; empty for the free plan.
    #[serde(default)]
    pub prices: Vec<Price>,
    /// Keys of the features that the plan includes.
    #[serde(default)]
    pub features: BTreeSet<String>,
    /// Limits of the plan, by limit key. Every plan must have every limit.
    #[serde(default, deserialize_with = "limits")]
    pub limits: BTreeMap<String, Cap>,
}

/// All plans, ordered cheapest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catalog {
    free: Arc<Plan>,
    plans: Vec<Arc<Plan>>,
}

/// An error in the configured plans.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CatalogProblem {
    /// Index of the plan that is wrong.
    pub plan: usize,
    /// What is wrong and how to correct it.
    pub text: String,
}

impl Catalog {
    /// Checks the plans and builds the catalog.
    ///
    /// # Errors
    /// All errors that were found: no plan, a key or provider price used twice, a plan without a limit that another plan has.
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
                problem(format!(
                    "plan `{}` allows 0 `{SEATS}`, but the owner needs a seat; allow at least 1",
                    plan.key
                ));
            }
            for price in plan.prices.iter().filter_map(|price| price.provider_price.as_ref()) {
                if !seen.insert(format!("price {price}")) {
                    problem(format!("price `{price}` is used twice; use each `provider_price` in one plan only"));
                }
            }
            for key in keys.iter().filter(|key| !plan.limits.contains_key(*key)) {
                problem(format!("plan `{}` has no limit `{key}`; add a number or `unlimited`", plan.key));
            }
        }
        let plans: Vec<Arc<Plan>> = plans.into_iter().map(Arc::new).collect();
        match plans.first() {
            None => {
                let text = "there is no plan; add at least one, the first is the free plan".to_owned();
                Err(vec![CatalogProblem { plan: 0, text }])
            }
            Some(_) if !problems.is_empty() => Err(problems),
            Some(free) => Ok(Self { free: free.clone(), plans }),
        }
    }

    /// All plans, cheapest first.
    pub fn plans(&self) -> &[Arc<Plan>] {
        &self.plans
    }

    /// The free plan, which applies to every workspace without a paid subscription.
    pub fn free(&self) -> &Arc<Plan> {
        &self.free
    }

    /// Finds a plan by its key.
    pub fn plan(&self, key: &str) -> Option<&Arc<Plan>> {
        self.plans.iter().find(|plan| plan.key == key)
    }

    /// The plan of a workspace with the stored plan key `key`: the free plan if there is no key or the plan is no longer
    /// configured.
    pub fn plan_of(&self, key: Option<&str>) -> &Arc<Plan> {
        key.and_then(|key| self.plan(key)).unwrap_or(&self.free)
    }

    /// The plan that has this provider's price id or lookup key.
    pub fn plan_for_price(&self, price: &str) -> Option<&Arc<Plan>> {
        self.plans.iter().find(|plan| plan.prices.iter().any(|p| p.provider_price.as_deref() == Some(price)))
    }

    /// The cheapest plan whose limit `limit` allows `total`.
    pub fn unlocks(&self, limit: &str, total: u64) -> Option<&Arc<Plan>> {
        self.plans.iter().find(|plan| plan.limits.get(limit).is_some_and(|cap| cap.allows(total)))
    }

    /// The cheapest plan that includes `feature`.
    pub fn unlocks_feature(&self, feature: &str) -> Option<&Arc<Plan>> {
        self.plans.iter().find(|plan| plan.features.contains(feature))
    }
}

fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let three = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic());
    checked(deserializer, "a currency of three letters such as `usd`", three).map(|text| text.to_lowercase())
}

/// Key of a limit. The table `kernel.usage` checks the same format.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct LimitKey(String);

impl<'de> Deserialize<'de> for LimitKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = |text: &str| {
            text.len() <= 41
                && text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        checked(deserializer, "a limit's key: a-z, 0-9 and _, at most 41", word).map(Self)
    }
}

fn limits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Cap>, D::Error> {
    let limits = BTreeMap::<LimitKey, Cap>::deserialize(deserializer)?;
    Ok(limits.into_iter().map(|(key, cap)| (key.0, cap)).collect())
}

/// As in `product.config.yaml`; the SQL functions of the limits read the same.
impl Serialize for Cap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.stored() {
            Some(n) => serializer.serialize_i64(n),
            None => serializer.serialize_str("unlimited"),
        }
    }
}

impl<'de> Deserialize<'de> for Cap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CapVisitor;
        impl Visitor<'_> for CapVisitor {
            type Value = Cap;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0, or `unlimited`")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Cap, E> {
                if i64::try_from(n).is_ok() {
                    Ok(Cap::Finite(n))
                } else {
                    Err(E::custom("that number is too large; write `unlimited`"))
                }
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Cap, E> {
                u64::try_from(n)
                    .map(Cap::Finite)
                    .map_err(|_| E::custom(format!("`{n}` is negative; write a number from 0, or `unlimited`")))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Cap, E> {
                match (text, text.parse::<i64>()) {
                    ("unlimited", _) => Ok(Cap::Unlimited),
                    (_, Ok(n)) => self.visit_i64(n),
                    (_, Err(_)) => {
                        Err(E::custom(format!("`{text}` is not a limit; write a number from 0, or `unlimited`")))
                    }
                }
            }
        }
        deserializer.deserialize_any(CapVisitor)
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
