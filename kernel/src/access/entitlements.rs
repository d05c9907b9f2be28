//! Entitlements: what a workspace may use. [`resolve`] is the only place that decides it; every workspace stores the result, and
//! a grant holds it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::catalog::{Access, Cap, Catalog, Plan};

/// The name, features and limits of a plan. In this form the plans of an applied catalog and the entitlements of a workspace are
/// stored, so that a version of the product that does not know the plan can still enforce it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// Key of the plan.
    pub plan: String,
    /// Name of the plan, as shown to people.
    pub name: String,
    /// Keys of the features that are included.
    pub features: BTreeSet<String>,
    /// The limits, by key.
    pub limits: BTreeMap<String, Cap>,
}

impl From<&Plan> for Terms {
    fn from(plan: &Plan) -> Self {
        Self {
            plan: plan.key.clone(),
            name: plan.name.clone(),
            features: plan.features.clone(),
            limits: plan.limits.clone(),
        }
    }
}

/// What a workspace may use, given its plan and the state of its subscription. Share it in an `Arc`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entitlements {
    /// How much of it the workspace may use, given the state of its subscription.
    pub access: Access,
    /// The plan, the features and the limits.
    #[serde(flatten)]
    pub terms: Terms,
}

impl Entitlements {
    /// Key of the plan.
    pub fn plan(&self) -> &str {
        &self.terms.plan
    }

    /// Name of the plan, as shown to people.
    pub fn plan_name(&self) -> &str {
        &self.terms.name
    }

    /// Whether the feature with this key is included.
    pub fn includes(&self, feature: &str) -> bool {
        self.terms.features.contains(feature)
    }

    /// How many the limit with this key allows; `None` if there is no such limit.
    pub fn cap(&self, limit: &str) -> Option<Cap> {
        self.terms.limits.get(limit).copied()
    }
}

/// The terms of all plans of one catalog, cheapest first; the first is the free plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<Terms>", into = "Vec<Terms>")]
pub struct PlanTerms {
    free: Terms,
    paid: Vec<Terms>,
}

impl PlanTerms {
    /// The terms of the plan with this key; of the free plan without a key, or if there is no such plan.
    pub fn of(&self, plan: Option<&str>) -> &Terms {
        plan.and_then(|key| self.all().find(|terms| terms.plan == key)).unwrap_or(&self.free)
    }

    /// Fingerprint of the terms. It changes exactly when a workspace's entitlements would: with a key, a name, a feature, a limit,
    /// or which plan is the free one. A price changes nothing.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for Terms { plan, name, features, limits } in self.all() {
            hash.update(serde_json::json!([plan, name, features, limits]).to_string());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Terms> {
        std::iter::once(&self.free).chain(&self.paid)
    }
}

impl From<&Catalog> for PlanTerms {
    fn from(catalog: &Catalog) -> Self {
        let paid = catalog.plans().iter().filter(|plan| plan.key != catalog.free().key);
        Self { free: (&**catalog.free()).into(), paid: paid.map(|plan| (&**plan).into()).collect() }
    }
}

impl TryFrom<Vec<Terms>> for PlanTerms {
    type Error = &'static str;

    fn try_from(all: Vec<Terms>) -> Result<Self, Self::Error> {
        let mut all = all.into_iter();
        let free = all.next().ok_or("there is no plan; the first one is the free plan")?;
        Ok(Self { free, paid: all.collect() })
    }
}

impl From<PlanTerms> for Vec<Terms> {
    fn from(terms: PlanTerms) -> Self {
        std::iter::once(terms.free).chain(terms.paid).collect()
    }
}

/// The entitlements of a workspace: the terms of its plan in the catalog that was applied last, or those of the free plan if it has
/// no plan or the plan is no longer offered.
///
/// This is the one place where entitlements are decided; whoever writes a workspace's plan, access, entitlements or caps takes
/// them from here. Overrides of a workspace, add-ons and pinned versions of a plan will be further parameters.
pub fn resolve(plans: &PlanTerms, plan: Option<&str>, access: Access) -> Entitlements {
    Entitlements { access, terms: plans.of(plan).clone() }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::tests::plan;
    use super::*;

    fn plans(free: Cap) -> PlanTerms {
        let mut pro = plan("pro", Some("price_pro"), Cap::Unlimited);
        pro.features.insert("sso".to_owned());
        PlanTerms::from(&Catalog::new(vec![plan("free", None, free), pro]).unwrap())
    }

    #[test]
    fn a_plan_that_is_not_offered_is_the_free_one() {
        let plans = plans(Cap::Finite(5));
        for (key, expect) in [(None, "free"), (Some("free"), "free"), (Some("pro"), "pro"), (Some("gone"), "free")] {
            let entitlements = resolve(&plans, key, Access::Grace);
            assert_eq!((entitlements.plan(), entitlements.access), (expect, Access::Grace), "{key:?}");
        }
        let pro = resolve(&plans, Some("pro"), Access::Full);
        assert_eq!((pro.cap("projects"), pro.cap("boards")), (Some(Cap::Unlimited), None));
        assert!(pro.includes("sso") && !pro.includes("audit"));
    }

    #[test]
    fn the_stored_form_is_the_one_that_the_sql_functions_read() {
        let plans = plans(Cap::Finite(5));
        let stored = serde_json::to_value(&plans).unwrap();
        let free = serde_json::json!({ "plan": "free", "name": "free", "features": [], "limits": { "members": "unlimited", "projects": 5 } });
        assert_eq!(stored[0], free);
        assert_eq!(serde_json::from_value::<PlanTerms>(stored).unwrap(), plans);
        assert!(serde_json::from_value::<PlanTerms>(serde_json::json!([])).is_err());
        let entitlements = resolve(&plans, Some("pro"), Access::ReadOnly);
        let text = serde_json::to_string(&entitlements).unwrap();
        assert_eq!(serde_json::from_str::<Entitlements>(&text).unwrap(), entitlements, "{text}");
    }

    #[test]
    fn the_fingerprint_changes_with_everything_but_prices() {
        let make = |change: fn(&mut Vec<Plan>)| {
            let mut plans = vec![plan("free", None, Cap::Finite(5)), plan("pro", Some("price_pro"), Cap::Unlimited)];
            change(&mut plans);
            PlanTerms::from(&Catalog::new(plans).unwrap()).fingerprint()
        };
        let same = make(|_| {});
        assert_eq!(make(|plans| plans[1].prices.clear()), same);
        let changes: [fn(&mut Vec<Plan>); 6] = [
            |plans| plans[1].name.push('!'),
            |plans| plans[1].key.push('2'),
            |plans| plans[1].features.extend(["sso".to_owned()]),
            |plans| plans[0].limits.extend([("projects".to_owned(), Cap::Finite(6))]),
            |plans| plans.reverse(),
            |plans| plans.truncate(1),
        ];
        for change in changes {
            assert_ne!(make(change), same);
        }
    }
}
