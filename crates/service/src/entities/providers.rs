//! OpenID Connect providers of an account: whose users its roles may trust. How their tokens are
//! checked is in `super::web_identity`.

use model::{
    Condition,
    entities::OidcProvider,
    limits::{
        CLIENT_ID_BYTES_MAX, CLIENT_IDS_MAX, OIDC_PROVIDERS_MAX, PROVIDER_URL_BYTES_MAX,
        THUMBPRINTS_MAX,
    },
    policy::Action,
};

use super::{Tags, arn::over, members::check_tags};
use crate::{Caller, Error, Result, Service, authorize::Granted};

/// A provider as asked for.
#[derive(Clone, Debug, Default)]
pub struct NewProvider {
    pub url: String,
    pub client_ids: Vec<String>,
    pub thumbprints: Vec<String>,
    pub tags: Tags,
}

/// What becomes of a provider.
#[derive(Clone, Debug)]
pub enum ProviderChange {
    AddClient(String),
    RemoveClient(String),
    Thumbprints(Vec<String>),
    /// Tags to set, and names of tags to take away.
    Tags((Tags, Vec<String>)),
}

impl Granted<'_> {
    async fn provider(&self, service: &Service, arn: &str) -> Result<OidcProvider> {
        let missing = || {
            let detail = format!("OpenIDConnect Provider not found for arn {arn}");
            Error::new(Condition::NoSuchEntity, detail)
        };
        let account = self.account();
        let place = OidcProvider::place_in(account, arn).ok_or_else(missing)?;
        service.metadata.oidc_provider(account, place).await?.ok_or_else(missing)
    }
}

impl Service {
    /// # Errors
    /// `InvalidInput`, `EntityAlreadyExists`, `LimitExceeded`.
    pub async fn create_oidc_provider(
        &self,
        caller: &Caller,
        new: NewProvider,
    ) -> Result<OidcProvider> {
        let provider = OidcProvider {
            url: new.url,
            client_ids: new.client_ids,
            thumbprints: new.thumbprints,
            created_ms: self.now_ms(),
            tags: new.tags,
        };
        let account = caller.account_id().ok_or(Condition::AccessDenied)?;
        let arn = provider.arn(account);
        let granted = Granted::give(caller, Action::CreateOpenIDConnectProvider, &arn)?;
        check_url(&provider.url)?;
        self.outbound.check(&provider.url).map_err(invalid)?;
        check_clients(&provider.client_ids)?;
        check_thumbprints(&provider.thumbprints)?;
        check_tags(&provider.tags)?;
        granted
            .change(self, async |changes| {
                let known = self.metadata.oidc_providers(account).await?;
                if known.iter().any(|other| other.place() == provider.place()) {
                    let detail = format!("Provider with url {} already exists.", provider.url);
                    return Err(Error::new(Condition::EntityAlreadyExists, detail));
                }
                if known.len() >= OIDC_PROVIDERS_MAX {
                    return Err(over("OpenIdConnectProvidersPerAccount", OIDC_PROVIDERS_MAX));
                }
                changes.put_provider(&provider);
                Ok(())
            })
            .await?;
        Ok(provider)
    }

    /// Shows a provider.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn get_oidc_provider(
        &self,
        caller: &Caller,
        action: Action,
        arn: &str,
    ) -> Result<OidcProvider> {
        Granted::give(caller, action, arn)?.provider(self, arn).await
    }

    /// All of the account.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub async fn list_oidc_providers(&self, caller: &Caller) -> Result<Vec<OidcProvider>> {
        let account = caller.account_id().ok_or(Condition::AccessDenied)?;
        let all = format!("arn:aws:iam::{account}:oidc-provider/*");
        let granted = Granted::give(caller, Action::ListOpenIDConnectProviders, &all)?;
        Ok(self.metadata.oidc_providers(granted.account()).await?)
    }

    /// Deletes a provider; that there is none is an error. Roles go on to name it.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn delete_oidc_provider(&self, caller: &Caller, arn: &str) -> Result<()> {
        let granted = Granted::give(caller, Action::DeleteOpenIDConnectProvider, arn)?;
        granted
            .change(self, async |changes| {
                let provider = granted.provider(self, arn).await?;
                changes.delete_provider(&provider);
                Ok(())
            })
            .await
    }

    /// Changes a provider.
    ///
    /// # Errors
    /// `NoSuchEntity`, `InvalidInput`.
    pub async fn change_oidc_provider(
        &self,
        caller: &Caller,
        action: Action,
        arn: &str,
        change: ProviderChange,
    ) -> Result<()> {
        let granted = Granted::give(caller, action, arn)?;
        granted
            .change(self, async |changes| {
                let mut provider = granted.provider(self, arn).await?;
                apply(&mut provider, change.clone())?;
                changes.put_provider(&provider);
                Ok(())
            })
            .await
    }
}

fn apply(provider: &mut OidcProvider, change: ProviderChange) -> Result<()> {
    match change {
        ProviderChange::AddClient(id) => {
            if !provider.client_ids.contains(&id) {
                provider.client_ids.push(id);
            }
            check_clients(&provider.client_ids)
        }
        ProviderChange::RemoveClient(id) => {
            provider.client_ids.retain(|known| *known != id);
            Ok(())
        }
        ProviderChange::Thumbprints(thumbprints) => {
            check_thumbprints(&thumbprints)?;
            provider.thumbprints = thumbprints;
            Ok(())
        }
        ProviderChange::Tags((set, removed)) => {
            provider.tags.retain(|(name, _)| {
                !removed.contains(name) && !set.iter().any(|(other, _)| other == name)
            });
            provider.tags.extend(set);
            check_tags(&provider.tags)
        }
    }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Condition::InvalidInput, detail)
}

/// `https://host/path`: what the tokens name as their issuer.
fn check_url(url: &str) -> Result<()> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    let fits = host.is_some_and(|host| !host.is_empty())
        && url.len() <= PROVIDER_URL_BYTES_MAX
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && !url.contains(['?', '#', '@', '\\', '"', '<', '>']);
    if fits {
        return Ok(());
    }
    let most = PROVIDER_URL_BYTES_MAX;
    Err(invalid(format!(
        "The URL of a provider begins with https://, has a host, perhaps a path, no query, and at \
         most {most} characters."
    )))
}

fn check_clients(ids: &[String]) -> Result<()> {
    if ids.len() > CLIENT_IDS_MAX {
        return Err(over("ClientIdsPerOpenIdConnectProvider", CLIENT_IDS_MAX));
    }
    let fits = |id: &String| (1..=CLIENT_ID_BYTES_MAX).contains(&id.len());
    if ids.iter().all(fits) {
        return Ok(());
    }
    Err(invalid(format!("A client ID has 1 to {CLIENT_ID_BYTES_MAX} characters.")))
}

fn check_thumbprints(thumbprints: &[String]) -> Result<()> {
    let plain = |text: &String| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let fits = |text: &String| text.len() == 40 && plain(text);
    if thumbprints.len() <= THUMBPRINTS_MAX && thumbprints.iter().all(fits) {
        return Ok(());
    }
    Err(invalid(format!(
        "There are at most {THUMBPRINTS_MAX} thumbprints, each of 40 letters or digits."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_perhaps_a_path() {
        for good in ["https://idp.example.com", "https://idp/realms/x/", "http://[::1]:9000"] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        let long = format!("https://{}", "a".repeat(PROVIDER_URL_BYTES_MAX));
        let bad = ["idp.example.com", "ftp://a", "https://", "https:///p", "https://a?b", &long];
        for bad in bad.into_iter().chain(["https://u@a", "https://a b", "https://a\n", "https://ä"])
        {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_replace_those_of_their_name() {
        let own = |texts: &[(&str, &str)]| -> Tags {
            texts.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        let mut provider =
            OidcProvider { tags: own(&[("a", "1"), ("b", "2")]), ..OidcProvider::default() };
        let change = ProviderChange::Tags((own(&[("a", "3")]), vec!["b".into()]));
        apply(&mut provider, change).expect("they fit");
        assert_eq!(provider.tags, own(&[("a", "3")]));
    }
}
