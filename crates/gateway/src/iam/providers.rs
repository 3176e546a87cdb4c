//! OpenID Connect providers, on the wire of IAM.

use model::policy::Action;
use service::entities::{NewProvider, ProviderChange};

use super::{Call, entities::write_tags};
use crate::{
    wire::Result,
    xml::{Writer, date},
};

impl Call<'_> {
    pub(super) async fn providers(&self, xml: &mut Writer) -> Result<()> {
        let (service, caller, form) = (self.service, self.caller, self.form);
        match self.action {
            Action::CreateOpenIDConnectProvider => {
                let new = NewProvider {
                    url: form.required("Url")?.to_owned(),
                    client_ids: form.members("ClientIDList", ""),
                    thumbprints: form.members("ThumbprintList", ""),
                    tags: form.tags()?,
                };
                let made = service.create_oidc_provider(caller, new).await?;
                let arn = caller.account_id().map(|account| made.arn(account));
                xml.optional("OpenIDConnectProviderArn", arn);
                write_tags(xml, &made.tags);
                Ok(())
            }
            Action::ListOpenIDConnectProviders => {
                xml.open("OpenIDConnectProviderList");
                for provider in service.list_oidc_providers(caller).await? {
                    let arn = caller.account_id().map(|account| provider.arn(account));
                    xml.open("member").optional("Arn", arn).close();
                }
                xml.close();
                Ok(())
            }
            _ => self.one_provider(xml, form.required("OpenIDConnectProviderArn")?).await,
        }
    }

    async fn one_provider(&self, xml: &mut Writer, arn: &str) -> Result<()> {
        let (service, caller, form, action) = (self.service, self.caller, self.form, self.action);
        let change = match action {
            Action::GetOpenIDConnectProvider => {
                let provider = service.get_oidc_provider(caller, action, arn).await?;
                xml.text("Url", provider.place());
                write_texts(xml, "ClientIDList", &provider.client_ids);
                write_texts(xml, "ThumbprintList", &provider.thumbprints);
                xml.text("CreateDate", date(provider.created_ms));
                write_tags(xml, &provider.tags);
                return Ok(());
            }
            Action::ListOpenIDConnectProviderTags => {
                write_tags(xml, &service.get_oidc_provider(caller, action, arn).await?.tags);
                xml.flag("IsTruncated", false);
                return Ok(());
            }
            Action::DeleteOpenIDConnectProvider => {
                return service.delete_oidc_provider(caller, arn).await;
            }
            Action::AddClientIDToOpenIDConnectProvider => {
                ProviderChange::AddClient(form.required("ClientID")?.to_owned())
            }
            Action::RemoveClientIDFromOpenIDConnectProvider => {
                ProviderChange::RemoveClient(form.required("ClientID")?.to_owned())
            }
            Action::UpdateOpenIDConnectProviderThumbprint => {
                form.required("ThumbprintList.member.1")?;
                ProviderChange::Thumbprints(form.members("ThumbprintList", ""))
            }
            _ => ProviderChange::Tags(self.tag_change()?),
        };
        service.change_oidc_provider(caller, action, arn, change).await
    }
}

fn write_texts(xml: &mut Writer, list: &'static str, texts: &[String]) {
    xml.open(list);
    for text in texts {
        xml.text("member", text);
    }
    xml.close();
}
