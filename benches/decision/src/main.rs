//! One permission decision: "may this member of this workspace do that?", for 4 roles, 40 permissions and 1,000 members.
//! The kernel has loaded the member's role with the session; casbin and cedar find it in their own stores, as they are used.
//! Nanoseconds per decision, medians of 7 blocks.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use casbin::{CachedApi, CachedEnforcer, CoreApi, DefaultModel, MemoryAdapter, MgmtApi};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use saas_kernel::access::Grant;
use saas_kernel::identity::authenticate::Keep;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::identity::sign_up::{NewAccount, SignUp};
use saas_kernel::{Ctx, Kernel, Permission, ProductConfig, Proof, Store, permissions};

use saas_kernel_postgres::Migrations;
use saas_kernel_postgres::testing::TestDb;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const RESOURCES: [&str; 10] =
    ["project", "member", "billing", "api_key", "webhook", "file", "audit", "setting", "team", "invite"];
const VERBS: [&str; 4] = ["read", "create", "update", "delete"];
const ROLES: [&str; 4] = ["owner", "admin", "member", "viewer"];
const MEMBERS: usize = 1000;
const QUESTIONS: usize = 256;

/// The matrix that all of them are given.
fn allowed(role: usize, resource: usize, verb: usize) -> bool {
    match role {
        0 => true,
        1 => resource != 2 || verb == 0,
        2 => resource < 6 && resource != 2 && verb < 3,
        _ => verb == 0,
    }
}

struct Question {
    member: usize,
    resource: usize,
    verb: usize,
}

impl Question {
    fn nth(n: usize) -> Self {
        Self { member: n * 37 % MEMBERS, resource: n * 7 % 10, verb: n * 3 % 4 }
    }
    fn role(&self) -> usize {
        self.member % 4
    }
    fn action(&self) -> String {
        format!("{}.{}", RESOURCES[self.resource], VERBS[self.verb])
    }
    fn user(&self) -> String {
        format!("u{}", self.member)
    }
    fn workspace(&self) -> String {
        format!("w{}", self.member / 5)
    }
    fn answer(&self) -> bool {
        allowed(self.role(), self.resource, self.verb)
    }
}

fn measure<R>(name: &str, times: usize, mut decide: impl FnMut(usize) -> R) {
    let mut block = || {
        let began = Instant::now();
        for n in 0..times {
            black_box(decide(black_box(n)));
        }
        began.elapsed().as_nanos() as f64 / times as f64
    };
    let mut blocks: Vec<f64> = (0..7).map(|_| block()).collect();
    blocks.sort_by(f64::total_cmp);
    println!("| {name} | {:.1} | {:.1}–{:.1} |", blocks[3], blocks[0], blocks[6]);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let questions: Vec<Question> = (0..QUESTIONS).map(Question::nth).collect();
    println!("| one decision | ns | lowest–highest |\n|---|---|---|");
    kernel().await?;
    hash_set(&questions);
    casbin(&questions).await?;
    cedar(&questions)?;
    Ok(())
}

/// The real thing: somebody signs up, logs in, and is authenticated; then `allow` is asked.
async fn kernel() -> Result<()> {
    let grant = grant().await?;
    assert!(grant.allow::<permissions::UpdateWorkspace>().is_ok());
    measure("kernel: the bit test in `Grant::allow`", 50_000_000, |_| {
        black_box(&grant).role().bits.has(<permissions::UpdateWorkspace as Permission>::bit())
    });
    measure("kernel: `Grant::allow`, with the proof it makes", 20_000_000, |_| {
        black_box(&grant).allow::<permissions::UpdateWorkspace>().is_ok()
    });
    Ok(())
}

async fn grant() -> Result<Arc<Grant>> {
    let config = ProductConfig::parse("brand: { name: Bench }\nplans: [{ key: free, name: Free }]")?;
    let db = TestDb::new(&Migrations::kernel()).await?;
    let store = db.store().await?;
    let kernel = Kernel::builder(config).store(store.clone()).keyring(saas_kernel::Keyring::ephemeral()).build()?;
    db.system().await?.sync_catalog(kernel.catalog()).await?;
    let (email, password) = ("ada@example.com", "correct horse battery");
    let account = NewAccount::parse(email, password, "Ada")?;
    let prepared = SignUp::prepare(Ctx::at(kernel.now()), account, kernel.passwords()).await?;
    let mut tx = store.begin(prepared.scope()).await?;
    let made = kernel.sign_up(&prepared, &mut *tx).await?.ok_or("a free address")?;
    tx.commit().await?;
    let verified = kernel.verify_login(Ctx::at(kernel.now()), &email.parse()?, password.parse()?).await?;
    let mut tx = store.begin(verified.scope()).await?;
    let token = kernel.begin_session(&verified, &mut *tx, None).await?.token;
    tx.commit().await?;
    let asked = WorkspaceRef::Id(made.workspace.id);
    let caller = kernel.authenticate(Ctx::at(kernel.now()), &token, Some(&asked), Keep::No).await?;
    Ok(caller.and_then(|caller| caller.grant).ok_or("a grant")?)
}

fn hash_set(questions: &[Question]) {
    let of_role = |role| {
        let pairs = (0..10).flat_map(|resource| (0..4).map(move |verb| (resource, verb)));
        let held = pairs.filter(|(resource, verb)| allowed(role, *resource, *verb));
        held.map(|(resource, verb)| format!("{}.{}", RESOURCES[resource], VERBS[verb])).collect::<HashSet<String>>()
    };
    let roles: Vec<HashSet<String>> = (0..4).map(of_role).collect();
    let asked: Vec<(usize, String)> = questions.iter().map(|question| (question.role(), question.action())).collect();
    for (question, (role, action)) in questions.iter().zip(&asked) {
        assert_eq!(roles[*role].contains(action), question.answer());
    }
    measure("`HashSet<String>` per role", 10_000_000, |n| {
        let (role, action) = &asked[n % QUESTIONS];
        roles[*role].contains(action.as_str())
    });
}

/// RBAC with domains, from its documentation; all questions are in its cache, which is given room for them.
async fn casbin(questions: &[Question]) -> Result<()> {
    const MODEL: &str = "[request_definition]\nr = sub, dom, obj, act\n[policy_definition]\np = sub, obj, act\n\
        [role_definition]\ng = _, _, _\n[policy_effect]\ne = some(where (p.eft == allow))\n\
        [matchers]\nm = g(r.sub, p.sub, r.dom) && r.obj == p.obj && r.act == p.act\n";
    let model = DefaultModel::from_str(MODEL).await?;
    let mut enforcer = CachedEnforcer::new(model, MemoryAdapter::default()).await?;
    enforcer.set_cache(Box::new(casbin::DefaultCache::new(10_000)));
    enforcer.enable_log(false);
    let mut policies = Vec::new();
    for (role, name) in ROLES.iter().enumerate() {
        for (resource, verb) in (0..40).map(|n| (n / 4, n % 4)).filter(|(r, v)| allowed(role, *r, *v)) {
            policies.push(vec![(*name).to_owned(), RESOURCES[resource].to_owned(), VERBS[verb].to_owned()]);
        }
    }
    enforcer.add_policies(policies).await?;
    let members = (0..MEMBERS).map(|u| vec![format!("u{u}"), ROLES[u % 4].to_owned(), format!("w{}", u / 5)]);
    enforcer.add_grouping_policies(members.collect()).await?;
    let asked: Vec<(String, String)> = questions.iter().map(|q| (q.user(), q.workspace())).collect();
    let decide = |n: usize| {
        let (question, (user, workspace)) = (&questions[n % QUESTIONS], &asked[n % QUESTIONS]);
        let request = (user.as_str(), workspace.as_str(), RESOURCES[question.resource], VERBS[question.verb]);
        enforcer.enforce(request).unwrap_or_default()
    };
    for (n, question) in questions.iter().enumerate() {
        assert_eq!(decide(n), question.answer());
    }
    measure("casbin, cached", 200_000, decide);
    Ok(())
}

/// Roles as groups of actions, the member as an entity with role and workspace; requests are built beforehand.
fn cedar(questions: &[Question]) -> Result<()> {
    let uid = |kind: &str, id: &str| -> Result<EntityUid> {
        Ok(EntityUid::from_type_name_and_id(kind.parse::<EntityTypeName>()?, EntityId::new(id)))
    };
    let group = |role: usize| uid("Action", &format!("as_{}", ROLES[role]));
    let mut entities = Vec::new();
    for (resource, verb) in (0..40).map(|n| (n / 4, n % 4)) {
        let id = uid("Action", &format!("{}.{}", RESOURCES[resource], VERBS[verb]))?;
        let groups = (0..4).filter(|role| allowed(*role, resource, verb)).map(group).collect::<Result<HashSet<_>>>()?;
        entities.push(Entity::new(id, HashMap::new(), groups)?);
    }
    for role in 0..4 {
        entities.push(Entity::new(group(role)?, HashMap::new(), HashSet::new())?);
    }
    for member in 0..MEMBERS {
        let workspace = RestrictedExpression::new_entity_uid(uid("Workspace", &format!("w{}", member / 5))?);
        let role = RestrictedExpression::new_string(ROLES[member % 4].to_owned());
        let attributes = HashMap::from([("role".to_owned(), role), ("workspace".to_owned(), workspace)]);
        entities.push(Entity::new(uid("Member", &format!("u{member}"))?, attributes, HashSet::new())?);
    }
    let entities = Entities::from_entities(entities, None)?;
    let policies: PolicySet = ROLES
        .map(|role| {
            format!(
                "permit(principal, action in Action::\"as_{role}\", resource) \
                 when {{ principal.role == \"{role}\" && principal.workspace == resource }};\n"
            )
        })
        .concat()
        .parse()?;
    let requests = questions.iter().map(|question| {
        let (member, workspace) = (uid("Member", &question.user())?, uid("Workspace", &question.workspace())?);
        Ok(Request::new(member, uid("Action", &question.action())?, workspace, Context::empty(), None)?)
    });
    let requests = requests.collect::<Result<Vec<Request>>>()?;
    let authorizer = Authorizer::new();
    let decide = |n: usize| {
        authorizer.is_authorized(&requests[n % QUESTIONS], &policies, &entities).decision() == Decision::Allow
    };
    for (n, question) in questions.iter().enumerate() {
        assert_eq!(decide(n), question.answer());
    }
    measure("cedar, roles as action groups", 50_000, decide);
    Ok(())
}
