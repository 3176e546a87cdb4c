//! Second factors, on the wire of IAM.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::{entities::EntityKind, policy::Action};
use service::entities::{MfaShown, SecondFactor};

use super::{Call, entities::write_tags, form::invalid, qr};
use crate::{
    encoding::encode,
    wire::Result,
    xml::{Writer, date},
};

/// What apps show above the code.
const ISSUER: &str = "Larder";

impl Call<'_> {
    pub(super) async fn mfa(&self, xml: &mut Writer) -> Result<()> {
        use Action as A;
        let (service, caller, form) = (self.service, self.caller, self.form);
        let user = form.get("UserName");
        match self.action {
            A::CreateVirtualMFADevice => return self.create_mfa(xml).await,
            A::ListVirtualMFADevices => return self.list_virtual_mfa(xml).await,
            A::ListMFADevices => {
                let found = service.list_mfa_devices(caller, user).await?;
                let page = self.paged(found, |shown| &shown.serial)?;
                page.write(xml, "MFADevices", |xml, shown| Self::mfa_facts(xml, &shown));
                return Ok(());
            }
            _ => {}
        }
        let serial = form.required("SerialNumber")?;
        match self.action {
            A::EnableMFADevice => {
                let shown = (serial, self.two_codes()?);
                service.enable_mfa_device(caller, user, shown).await?;
            }
            A::ResyncMFADevice => {
                let shown = (serial, self.two_codes()?);
                service.resync_mfa_device(caller, user, shown).await?;
            }
            A::DeactivateMFADevice => service.deactivate_mfa_device(caller, user, serial).await?,
            A::DeleteVirtualMFADevice => service.delete_mfa_device(caller, serial).await?,
            A::GetMFADevice => {
                let shown = service.get_mfa_device(caller, user, serial).await?;
                Self::mfa_facts(xml, &shown);
            }
            A::ListMFADeviceTags => {
                let tags = service.mfa_device_tags(caller, serial).await?;
                write_tags(xml, &tags);
                xml.flag("IsTruncated", false);
            }
            _ => service.tag_mfa_device(caller, serial, self.tag_change()?).await?,
        }
        Ok(())
    }

    async fn create_mfa(&self, xml: &mut Writer) -> Result<()> {
        let form = self.form;
        let name = form.required("VirtualMFADeviceName")?;
        let path = form.get("Path").unwrap_or("/");
        let tags = form.tags()?;
        let (shown, seed) = self.service.create_mfa_device(self.caller, (name, path), tags).await?;
        let seed = seed.base32();
        let account = self.caller.account.as_ref().map_or("", |account| account.name.as_str());
        let label = format!("{ISSUER}:{}", encode(format!("{name}@{account}")));
        let picture = qr::png(&format!("otpauth://totp/{label}?secret={seed}&issuer={ISSUER}"));
        xml.open("VirtualMFADevice").text("SerialNumber", &shown.serial);
        xml.text("Base32StringSeed", STANDARD.encode(&seed));
        xml.optional("QRCodePNG", picture.map(|picture| STANDARD.encode(picture)));
        if !shown.device.tags.is_empty() {
            write_tags(xml, &shown.device.tags);
        }
        xml.close();
        Ok(())
    }

    async fn list_virtual_mfa(&self, xml: &mut Writer) -> Result<()> {
        let in_use = match self.form.get("AssignmentStatus") {
            None | Some("Any") => None,
            Some("Assigned") => Some(true),
            Some("Unassigned") => Some(false),
            Some(other) => return Err(invalid(format!("{other} is no assignment status."))),
        };
        let found = self.service.list_virtual_mfa_devices(self.caller, in_use).await?;
        let page = self.paged(found, |shown| &shown.serial)?;
        page.write(xml, "VirtualMFADevices", |xml, shown| {
            xml.text("SerialNumber", &shown.serial);
            if let Some(user) = &shown.holder {
                self.show(xml, EntityKind::User, user, false);
            }
            xml.optional("EnableDate", shown.device.enabled_ms.map(date));
        });
        Ok(())
    }

    fn mfa_facts(xml: &mut Writer, shown: &MfaShown) {
        xml.optional("UserName", shown.holder.as_ref().map(|user| &user.name));
        xml.text("SerialNumber", &shown.serial);
        xml.optional("EnableDate", shown.device.enabled_ms.map(date));
    }

    fn two_codes(&self) -> Result<[&str; 2]> {
        let form = self.form;
        Ok([form.required("AuthenticationCode1")?, form.required("AuthenticationCode2")?])
    }

    /// What the caller shows of its second factor, if it does.
    pub(super) fn second_factor(&self) -> Result<Option<SecondFactor>> {
        match (self.form.owned("SerialNumber"), self.form.owned("TokenCode")) {
            (None, None) => Ok(None),
            (Some(serial), Some(code)) => Ok(Some(SecondFactor { serial, code })),
            _ => Err(invalid(
                "MultiFactorAuthentication failed, must provide both MFA serial number and one \
                 time pass code.",
            )),
        }
    }
}
