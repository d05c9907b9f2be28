//! Creates, lists and revokes API keys.

use serde_json::json;

use super::{ApiKey, ApiKeySettings, NewApiKey, PREFIX};
use crate::access::{Can, EvenReadOnly, Grant, Role, intern};
use crate::audit;
use crate::base::actor::Actor;
use crate::base::error::{Error, FieldError, Refusal, codes};
use crate::base::id::ApiKeyId;
use crate::base::page::{Page, PageRequest};
use crate::base::secret::Token;
use crate::base::text;
use crate::identity::names::codes::TOO_MANY_KEYS;
use crate::identity::names::{CreateApiKey, DeleteApiKey, action};
use crate::store::{ReadTx, Tx};
use crate::tenancy::members;

/// Creates a key. The returned token is not stored and cannot be shown again.
///
/// # Errors
/// `validation_failed` for the name, an expiry in the past, or a scope that does not exist or that the caller does not have;
/// `too_many_keys`; `forbidden` if the caller is an API key.
pub async fn create(
    can: &Can<CreateApiKey>,
    tx: &mut dyn Tx,
    settings: &ApiKeySettings,
    new: NewApiKey,
) -> Result<(ApiKey, Token), Error> {
    let name = text::line("name", &new.name, 1..=100)?;
    if new.expires_at.is_some_and(|at| at <= can.now()) {
        return Err(
            Refusal::field("expires_at", "must be in the future; leave it out for a key that does not expire").into()
        );
    }
    let mine = members::lock_and_recheck(can, tx).await?;
    let scopes = scopes(can, &mine, new.scopes)?;
    let (workspace, at) = (can.workspace(), can.now());
    let max = settings.max;
    if tx.api_keys().count(workspace, at).await? >= max {
        let text = format!("this workspace has {max} API keys in force, the maximum; revoke some that nobody uses");
        return Err(Refusal::new(&TOO_MANY_KEYS, text).into());
    }
    let Actor::User(created_by) = can.actor() else { return Err(Error::broken("only people make keys")) };
    let token = Token::generate_hex(PREFIX);
    let prefix = token.expose().get(..PREFIX.len() + 8).unwrap_or(PREFIX).to_owned();
    let id = ApiKeyId::generate(at);
    let key =
        ApiKey { id, name, prefix, scopes, created_by, created_at: at, expires_at: new.expires_at, last_used_at: None };
    tx.api_keys().insert(workspace, &key, &token.hash()).await?;
    let meta = json!({ "name": key.name, "prefix": key.prefix, "scopes": key.scopes });
    audit::record_with(can, tx, action::API_KEY_CREATE, "api_key", id, meta)?;
    Ok((key, token))
}

/// Checks and sorts the scopes and removes duplicates; every error names the scope's index.
fn scopes(grant: &Grant, mine: &Role, wanted: Vec<String>) -> Result<Vec<String>, Refusal> {
    if wanted.is_empty() {
        return Err(Refusal::field("scopes", "must name at least one permission; GET …/permissions lists them"));
    }
    let mut problems = Vec::new();
    for (index, scope) in wanted.iter().enumerate() {
        let rule = match grant.roles().registry().iter().find(|permission| permission.name == scope) {
            None => "is not a permission; GET …/permissions lists them",
            Some(permission) if !mine.bits.has(intern(permission.name)) => "is a permission that you do not have",
            Some(_) => continue,
        };
        let shown: String = scope.chars().take(100).collect();
        problems
            .push(FieldError { field: format!("scopes[{index}]").into(), message: format!("`{shown}` {rule}").into() });
    }
    if !problems.is_empty() {
        return Err(Refusal::fields(problems));
    }
    let mut scopes = wanted;
    scopes.sort();
    scopes.dedup();
    Ok(scopes)
}

/// Lists the workspace's keys, newest first.
pub async fn list(
    can: &Can<EvenReadOnly<CreateApiKey>>,
    tx: &mut dyn ReadTx,
    page: &PageRequest,
) -> Result<Page<ApiKey>, Error> {
    Ok(can.enter_read(tx)?.api_keys().list(can.workspace(), page).await?)
}

/// Revokes a key. After the commit, calls with the key are refused, and calls that are still running can no longer save
/// anything.
///
/// # Errors
/// `not_found` if the workspace has no such key.
pub async fn revoke(can: &Can<EvenReadOnly<DeleteApiKey>>, tx: &mut dyn Tx, id: ApiKeyId) -> Result<(), Error> {
    if !can.enter(tx)?.api_keys().revoke(can.workspace(), id, can.now()).await? {
        return Err(Refusal::new(
            &codes::NOT_FOUND,
            "there is no such API key in this workspace; GET …/api-keys lists them",
        )
        .into());
    }
    audit::record(can, tx, action::API_KEY_REVOKE, "api_key", id)
}
