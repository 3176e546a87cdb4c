//! Access keys, on the wire of IAM.

use model::{policy::Action, records::AccessKey};

use super::{Call, form::invalid};
use crate::{
    wire::Result,
    xml::{Writer, date},
};

impl Call<'_> {
    pub(super) async fn keys(&self, xml: &mut Writer) -> Result<()> {
        let (service, caller, form) = (self.service, self.caller, self.form);
        let user = form.get("UserName");
        match self.action {
            Action::CreateAccessKey => {
                let made = service.create_access_key(caller, user).await?;
                xml.open("AccessKey");
                self.key_facts(xml, &made.key);
                xml.optional("SecretAccessKey", made.secret).close();
            }
            Action::ListAccessKeys => {
                let keys = service.list_access_keys(caller, user).await?;
                let page = self.paged(keys, |key| &key.access_key)?;
                page.write(xml, "AccessKeyMetadata", |xml, key| self.key_facts(xml, &key));
            }
            Action::UpdateAccessKey => {
                let active = match form.required("Status")? {
                    "Active" => true,
                    "Inactive" => false,
                    other => return Err(invalid(format!("{other} is no status."))),
                };
                let change = (form.required("AccessKeyId")?, active);
                service.set_access_key(caller, user, change).await?;
            }
            Action::DeleteAccessKey => {
                service.delete_access_key(caller, user, form.required("AccessKeyId")?).await?;
            }
            _ => {
                let name = form.required("AccessKeyId")?;
                let last = service.access_key_last_used(caller, name).await?;
                xml.text("UserName", last.user.as_ref().unwrap_or(&self.account_name()));
                xml.open("AccessKeyLastUsed");
                match last.used {
                    Some(used) => {
                        xml.text("LastUsedDate", date(used.at_ms));
                        xml.text("ServiceName", used.service).text("Region", used.region);
                    }
                    None => {
                        xml.text("ServiceName", "N/A").text("Region", "N/A");
                    }
                }
                xml.close();
            }
        }
        Ok(())
    }

    fn key_facts(&self, xml: &mut Writer, key: &AccessKey) {
        xml.text("UserName", key.user.as_ref().unwrap_or(&self.account_name()));
        xml.text("AccessKeyId", &key.access_key);
        xml.text("Status", if key.inactive { "Inactive" } else { "Active" });
        xml.text("CreateDate", date(key.created_ms));
    }

    fn account_name(&self) -> String {
        self.caller.account.as_ref().map(|account| account.name.clone()).unwrap_or_default()
    }
}
