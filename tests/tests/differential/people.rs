//! Signing up, in and out.

use saas_kernel::conformance::Backend;
use saas_kernel::identity::login::{self, VerifiedLogin};
use saas_kernel::identity::sign_up::{self, NewAccount, SignUp};
use saas_kernel::{Ctx, Error, Scope, Store};

use crate::side::{Person, Side, address, name};

impl<B: Backend> Side<'_, B> {
    pub(crate) async fn sign_up(&mut self, person: u8, shout: bool) -> String {
        let signed_up = async {
            let account = NewAccount::parse(address(person, shout).as_str(), "correct horse battery", &name(person))?;
            let prepared = SignUp::prepare(Ctx::at(self.now()), account, self.kernel.passwords()).await?;
            let mut tx = self.store.begin(Scope::sign_up(&prepared)).await?;
            let done = sign_up::sign_up(&self.kernel, &prepared, &mut *tx).await?;
            if done.is_some() {
                tx.commit().await?;
            }
            Ok::<_, Error>(done)
        }
        .await;
        if let Ok(Some(made)) = &signed_up {
            self.words.know(made.user, &format!("person{person}"));
            self.people[usize::from(person)] = Some(Person { user: made.user, token: None });
            self.made(person, made.workspace.id);
        }
        self.words.result(&signed_up)
    }

    pub(crate) async fn verified(&self, person: u8) -> Result<VerifiedLogin, Error> {
        let password = "correct horse battery".parse()?;
        login::verify(&self.kernel, Ctx::at(self.now()), &address(person, false), password).await
    }

    pub(crate) async fn log_in(&mut self, person: u8, replace: bool) -> String {
        let old = self.people[usize::from(person)].as_ref().and_then(|person| person.token.clone());
        let logged_in = async {
            let verified = self.verified(person).await?;
            let mut tx = self.store.begin(Scope::login(&verified)).await?;
            let replaced = old.as_ref().filter(|_| replace);
            let logged_in = login::begin_session(&self.kernel, &verified, &mut *tx, replaced).await?;
            tx.commit().await?;
            Ok::<_, Error>(logged_in)
        }
        .await;
        if let (Ok(logged_in), Some(person)) = (&logged_in, &mut self.people[usize::from(person)]) {
            person.token = Some(logged_in.token.clone());
        }
        self.words.result(&logged_in.map(|logged_in| logged_in.user))
    }

    pub(crate) async fn log_out(&mut self, person: u8) -> String {
        let done = async {
            let caller = self.caller(person, None, None, "").await?;
            let token = self.people[usize::from(person)].as_ref().and_then(|person| person.token.as_ref());
            let mut tx = self.store.begin(Scope::of_user(&caller.session)).await?;
            if let Some(token) = token {
                login::logout(&mut *tx, token).await?;
            }
            Ok::<_, Error>(tx.commit().await?)
        }
        .await;
        self.words.result(&done)
    }
}
