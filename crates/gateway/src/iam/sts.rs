//! Temporary credentials, on the wire of STS.

use model::policy::Action;
use service::entities::tokens::{Credentials, SessionWish};

use super::Call;
use crate::{
    wire::Result,
    xml::{Writer, date},
};

impl Call<'_> {
    pub(super) async fn sts(&self, xml: &mut Writer) -> Result<()> {
        let (service, caller, form) = (self.service, self.caller, self.form);
        match self.action {
            Action::AssumeRole => {
                let wish = self.wish(form.required("RoleSessionName")?)?;
                let wish = SessionWish { factor: self.second_factor()?, ..wish };
                let arn = form.required("RoleArn")?;
                let made = service.assume_role(caller, arn, wish).await?;
                write_credentials(xml, &made);
                write_role(xml, &made);
            }
            Action::AssumeRoleWithWebIdentity => {
                let wish = self.wish(form.required("RoleSessionName")?)?;
                let asked = (form.required("RoleArn")?, form.required("WebIdentityToken")?);
                let made = service.assume_role_with_web_identity(caller, asked, wish).await?;
                write_credentials(xml, &made.credentials);
                write_role(xml, &made.credentials);
                xml.text("SubjectFromWebIdentityToken", made.subject);
                xml.text("Provider", made.provider).text("Audience", made.audience);
            }
            Action::GetFederationToken => {
                let wish = self.wish(form.required("Name")?)?;
                let made = service.federation_token(caller, wish).await?;
                write_credentials(xml, &made);
                xml.open("FederatedUser");
                xml.text("FederatedUserId", &made.user_id).text("Arn", &made.arn).close();
            }
            Action::GetSessionToken => {
                let seconds = form.number("DurationSeconds")?;
                let factor = self.second_factor()?;
                let made = service.session_token(caller, seconds, factor.as_ref()).await?;
                write_credentials(xml, &made);
            }
            // Everybody may ask who they are.
            _ => {
                let principal = &caller.facts.principal;
                xml.optional("UserId", principal.user_id());
                xml.optional("Account", caller.account_id().map(ToString::to_string));
                xml.optional("Arn", principal.caller_arn());
            }
        }
        Ok(())
    }

    fn wish(&self, name: &str) -> Result<SessionWish> {
        Ok(SessionWish {
            name: name.to_owned(),
            seconds: self.form.number("DurationSeconds")?,
            policy: self.form.owned("Policy"),
            policy_arns: self.form.members("PolicyArns", "arn"),
            tags: self.form.tags()?,
            external_id: self.form.owned("ExternalId"),
            factor: None,
        })
    }
}

fn write_role(xml: &mut Writer, made: &Credentials) {
    xml.open("AssumedRoleUser");
    xml.text("AssumedRoleId", &made.user_id).text("Arn", &made.arn).close();
}

fn write_credentials(xml: &mut Writer, made: &Credentials) {
    xml.open("Credentials");
    xml.text("AccessKeyId", &made.access_key).text("SecretAccessKey", &made.secret);
    xml.text("SessionToken", &made.token).text("Expiration", date(made.expires_ms)).close();
}
