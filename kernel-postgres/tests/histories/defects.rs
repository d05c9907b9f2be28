//! One defect each, as somebody in a hurry would make it: SQL, or a flow that calls the right things in the wrong way. Each has
//! to be found.

use saas_kernel::access::OWNER;
use saas_kernel::access::catalog::SEATS;
use saas_kernel::audit::AuditEntry;
use saas_kernel::events::OutboxEvent;
use saas_kernel::tenancy::invites::Invited;
use saas_kernel::tenancy::members::NewMembership;
use saas_kernel::{Actor, Ctx, Error, Grant, Refusal, Tx, actions, codes, subjects};
use serde_json::json;

use crate::history::{self, History};
use crate::world::{Result, nobody};

/// A flow that is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// Looks for another owner without locking the workspace first.
    LeavesWithoutTheLock,
    /// Does not look whether the invite was still open.
    AcceptsWhatIsUsed,
    /// Ends the transaction with SQL text.
    CommitsBySqlText,
    /// Writes for a caller in a transaction of the system.
    WritesAsTheSystem,
    /// Commits the change, and the audit entry after it.
    RecordsBesideTheChange,
    /// Takes the places in a transaction before that of the rows.
    ReservesBeforehand,
    /// Says that it is kept, and does not commit.
    AnswersBeforeTheCommit,
}

/// A defect and the invariant that it breaks.
pub(crate) struct Planted {
    pub(crate) breaks: &'static str,
    pub(crate) flow: Option<Flow>,
    pub(crate) sql: &'static str,
}

macro_rules! defects {
    ($($name:ident breaks $breaks:literal $(by $flow:ident)? $(with $sql:literal)?;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() -> Result {
            let (flow, sql) = (None $(.or(Some(Flow::$flow)))?, concat!("" $(, $sql)?));
            crate::assert_found(stringify!($name), Planted { breaks: $breaks, flow, sql }).await
        }
    )*};
}

defects! {
    rows_that_are_not_counted_are_found breaks "used equals rows" with "DROP TRIGGER count_insert ON app.items";
    deleted_rows_that_stay_counted_are_found breaks "used equals rows" with "DROP TRIGGER count_delete ON app.items";
    soft_deleted_rows_that_stay_counted_are_found breaks "used equals rows"
        with "DROP TRIGGER count_soft_delete ON app.items";
    restored_rows_that_are_not_counted_are_found breaks "used equals rows" with "DROP TRIGGER count_restore ON app.items";
    members_without_a_seat_are_found breaks "used equals rows" with "DROP TRIGGER count_insert ON kernel.memberships";
    members_who_keep_their_seat_are_found breaks "used equals rows" with "DROP TRIGGER count_delete ON kernel.memberships";
    a_count_that_is_read_and_then_written_is_found breaks "used equals rows"
        with "CREATE OR REPLACE FUNCTION kernel.count_row() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            credit bigint := coalesce(nullif(current_setting('kernel_credit.' || TG_ARGV[0], true), '')::bigint, 0);
            n bigint; most bigint;
        BEGIN
            IF credit > 0 THEN
                credit := set_config('kernel_credit.' || TG_ARGV[0], (credit - 1)::text, true);
                RETURN NULL;
            END IF;
            SELECT used, cap INTO n, most FROM kernel.usage WHERE workspace_id = NEW.workspace_id AND key = TG_ARGV[0];
            IF n >= most THEN
                RAISE EXCEPTION USING ERRCODE = 'KL001', CONSTRAINT = TG_ARGV[0], MESSAGE = 'full';
            END IF;
            UPDATE kernel.usage SET used = n + 1 WHERE workspace_id = NEW.workspace_id AND key = TG_ARGV[0];
            RETURN NULL;
        END $$";
    a_count_that_ignores_the_cap_is_found breaks "no row above the cap"
        with "CREATE OR REPLACE FUNCTION kernel.count_row() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            credit bigint := coalesce(nullif(current_setting('kernel_credit.' || TG_ARGV[0], true), '')::bigint, 0);
        BEGIN
            IF credit > 0 THEN
                credit := set_config('kernel_credit.' || TG_ARGV[0], (credit - 1)::text, true);
            ELSE
                UPDATE kernel.usage SET used = used + 1 WHERE workspace_id = NEW.workspace_id AND key = TG_ARGV[0];
            END IF;
            RETURN NULL;
        END $$";
    a_cap_that_is_checked_before_the_count_is_found breaks "no row above the cap"
        with "CREATE OR REPLACE FUNCTION kernel.count_row() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            credit bigint := coalesce(nullif(current_setting('kernel_credit.' || TG_ARGV[0], true), '')::bigint, 0);
        BEGIN
            IF credit > 0 THEN
                credit := set_config('kernel_credit.' || TG_ARGV[0], (credit - 1)::text, true);
                RETURN NULL;
            END IF;
            IF NOT EXISTS (SELECT FROM kernel.usage WHERE workspace_id = NEW.workspace_id AND key = TG_ARGV[0]
                           AND (cap IS NULL OR used < cap)) THEN
                RAISE EXCEPTION USING ERRCODE = 'KL001', CONSTRAINT = TG_ARGV[0], MESSAGE = 'full';
            END IF;
            UPDATE kernel.usage SET used = used + 1 WHERE workspace_id = NEW.workspace_id AND key = TG_ARGV[0];
            RETURN NULL;
        END $$";
    places_reserved_before_the_rows_are_found breaks "used equals rows" by ReservesBeforehand;

    leaving_without_the_lock_is_found breaks "always an owner" by LeavesWithoutTheLock;

    an_invite_that_admits_twice_is_found breaks "an invite admits once" by AcceptsWhatIsUsed;
    a_replaced_session_that_stays_is_found breaks "a replaced session is void"
        with "CREATE OR REPLACE FUNCTION kernel.end_session(hash bytea) RETURNS uuid LANGUAGE sql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp RETURN gen_random_uuid()";
    an_idempotency_key_that_is_forgotten_is_found breaks "an idempotency key executes once"
        with "CREATE FUNCTION app.forget() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.expires_at := now();
            RETURN NEW;
        END $$;
        CREATE TRIGGER forget BEFORE INSERT ON kernel.idempotency_keys FOR EACH ROW EXECUTE FUNCTION app.forget()";
    an_answer_that_is_not_kept_is_found breaks "an idempotency key executes once"
        with "CREATE FUNCTION app.lose() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RETURN NULL;
        END $$;
        CREATE TRIGGER lose BEFORE UPDATE OF body ON kernel.idempotency_keys FOR EACH ROW EXECUTE FUNCTION app.lose()";

    a_redelivery_that_is_taken_for_new_is_found breaks "an event is applied once"
        with "CREATE FUNCTION app.restamp() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.event_created := NEW.event_created + (clock_timestamp() - transaction_timestamp());
            RETURN NEW;
        END $$;
        CREATE TRIGGER restamp BEFORE INSERT ON kernel.webhook_inbox FOR EACH ROW EXECUTE FUNCTION app.restamp()";
    an_event_that_two_processors_finish_is_found breaks "an event is applied once"
        with "CREATE FUNCTION app.unguard() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.state := 'PROCESSING';
            NEW.attempts := 1;
            RETURN NEW;
        END $$;
        CREATE TRIGGER unguard BEFORE UPDATE ON kernel.webhook_inbox FOR EACH ROW EXECUTE FUNCTION app.unguard()";
    a_cap_that_does_not_follow_the_plan_is_found breaks "the newest event decides"
        with "CREATE FUNCTION app.stay() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.cap := least(OLD.cap, NEW.cap);
            RETURN NEW;
        END $$;
        -- Not while plans are applied, which would never end.
        CREATE TRIGGER stay BEFORE UPDATE OF cap ON kernel.usage FOR EACH ROW
            WHEN (current_setting('lock_timeout') <> '500ms') EXECUTE FUNCTION app.stay()";

    entitlements_that_do_not_follow_the_plan_are_found breaks "entitlements are those of the plan"
        with "CREATE FUNCTION app.keep() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.entitlements := OLD.entitlements;
            RETURN NEW;
        END $$;
        CREATE TRIGGER keep BEFORE UPDATE OF plan ON kernel.workspaces FOR EACH ROW EXECUTE FUNCTION app.keep()";

    a_commit_by_sql_text_is_found breaks "nothing is kept for a removed member" by CommitsBySqlText;
    a_write_as_the_system_is_found breaks "nothing is kept for a removed member" by WritesAsTheSystem;
    a_write_as_the_system_for_a_key_is_found breaks "nothing is kept for a revoked key" by WritesAsTheSystem;

    a_record_beside_the_change_is_found breaks "records exist with the change" by RecordsBesideTheChange;
    entries_that_get_lost_are_found breaks "records exist with the change"
        with "CREATE FUNCTION app.lose() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RETURN CASE WHEN NEW.action <> 'member.role_change' THEN NEW END;
        END $$;
        CREATE TRIGGER lose BEFORE INSERT ON kernel.audit_log FOR EACH ROW EXECUTE FUNCTION app.lose()";
    numbers_that_are_drawn_ahead_are_found breaks "records follow the locks" with "ALTER SEQUENCE kernel.audit_seq CACHE 20";
    an_answer_before_the_commit_is_found breaks "the answer tells what was kept" by AnswersBeforeTheCommit;

    locks_in_another_order_are_found breaks "nobody waits in a circle"
        with "CREATE FUNCTION app.lock_others() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM FROM app.items WHERE workspace_id = NEW.workspace_id FOR UPDATE;
            RETURN NULL;
        END $$;
        CREATE TRIGGER lock_others AFTER INSERT ON app.items FOR EACH ROW EXECUTE FUNCTION app.lock_others()";

    rows_that_everybody_sees_are_found breaks "no row of another workspace is seen"
        with "CREATE POLICY anyone ON app.items FOR SELECT TO kernel_app USING (true)";
}

impl History {
    pub(crate) async fn leave_without_the_lock(&self, grant: &Grant, tx: &mut dyn Tx) -> Result<(), Error> {
        let Actor::User(user) = grant.actor() else { return Err(nobody().into()) };
        let workspace = grant.workspace();
        let member = tx.members().find(workspace, user).await?.ok_or_else(nobody)?;
        if member.role == OWNER && !tx.members().has_other_with_role(workspace, OWNER, user).await? {
            return Err(Refusal::new(&codes::LAST_OWNER, "the last owner").into());
        }
        tx.members().remove(workspace, user).await?;
        tx.records().audit(AuditEntry::by(grant, actions::MEMBER_LEAVE));
        tx.records().event(OutboxEvent::by(grant, subjects::MEMBER_REMOVED, json!({})));
        Ok(())
    }

    pub(crate) async fn accept_what_is_used(
        &self,
        invited: &history::Invited,
        proof: &Invited,
        tx: &mut dyn Tx,
    ) -> Result<(), Error> {
        let (user, workspace, at) = (self.world.people[invited.whom].user, proof.workspace(), self.world.now());
        tx.workspaces().lock(workspace).await?;
        if tx.members().find(workspace, user).await?.is_some() {
            return Ok(());
        }
        tx.invites().consume(workspace, &invited.token.hash(), user, at).await?;
        tx.limits().reserve(workspace, SEATS, 1).await?;
        tx.members().insert(&NewMembership { workspace, user, role: &invited.role, at }).await?;
        let (ctx, actor) = (Ctx::at(at), Actor::User(user));
        let entry = AuditEntry::new(&ctx, actor, workspace, actions::MEMBER_JOIN);
        tx.records().audit(entry.target("invite", invited.id));
        tx.records().event(OutboxEvent::new(&ctx, actor, workspace, subjects::MEMBER_JOINED, json!({})));
        Ok(())
    }
}
