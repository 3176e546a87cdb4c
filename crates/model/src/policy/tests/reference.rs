//! A second evaluator, written from the documentation alone over plain structures: slow, without
//! compiling, index or order.

/// A statement as the generator makes it.
#[derive(Clone, Debug)]
pub struct Rule {
    pub allow: bool,
    /// Words of principals; empty in the policies of users and roles.
    pub principals: Vec<&'static str>,
    pub not_principal: bool,
    pub actions: Vec<&'static str>,
    pub not_action: bool,
    pub resources: Vec<&'static str>,
    pub not_resource: bool,
    /// Operator, key, values.
    pub conditions: Vec<(&'static str, &'static str, Vec<&'static str>)>,
}

pub type Policy = Vec<Rule>;

/// Who asks, for what, and what all policies are.
#[derive(Clone, Debug)]
pub struct Case {
    /// `anonymous`, `root`, `user` or `session`
    pub kind: &'static str,
    pub account: &'static str,
    pub owner: &'static str,
    /// Of the object, if it is another.
    pub object_owner: Option<&'static str>,
    pub action: &'static str,
    /// `bkt` or `bkt/key`
    pub path: &'static str,
    pub address: Option<&'static str>,
    pub agent: Option<&'static str>,
    /// The value of the tag `t` of the object that is there.
    pub tag: Option<&'static str>,
    /// The same of the object that the request writes.
    pub given: Option<&'static str>,
    pub identity: Vec<Policy>,
    pub boundary: Option<Policy>,
    pub session: Option<Vec<Policy>>,
    pub resource: Option<Policy>,
    pub restricted: bool,
    /// An access control list lets it through.
    pub acl: bool,
}

/// A mistake made on purpose: the comparison must find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    ForgetsBoundary,
    ForgetsSession,
    AllowBeatsDeny,
    CrossAccountNeedsOneSide,
    ForgetsObjectOwner,
    PolicyGivesWhatIsOthers,
    NotEqualsNeedsValue,
    TagsDecideOverWriting,
}

pub fn like(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => {
            (0..=text.len()).any(|at| like(rest, text.get(at..).unwrap_or_default()))
        }
        Some((wanted, rest)) => match text.split_first() {
            Some((found, after)) => (*wanted == b'?' || wanted == found) && like(rest, after),
            None => false,
        },
    }
}

impl Case {
    fn principal_word(&self) -> String {
        match self.kind {
            "root" => format!("arn:aws:iam::{}:root", self.account),
            "user" => format!("arn:aws:iam::{}:user/ann", self.account),
            "session" => format!("arn:aws:sts::{}:assumed-role/reader/s1", self.account),
            _ => String::new(),
        }
    }

    /// 0 not at all, 1 as part of the account, 2 as everybody, 3 by role, 4 itself.
    fn named_by(&self, word: &str) -> u8 {
        let account = format!("arn:aws:iam::{}:root", self.account);
        if word == "*" {
            2
        } else if self.kind == "anonymous" {
            0
        } else if word == self.principal_word() {
            4
        } else if word == account {
            1
        } else if self.kind == "session"
            && word == format!("arn:aws:iam::{}:role/reader", self.account)
        {
            3
        } else {
            0
        }
    }

    fn holds(&self, condition: &(&str, &str, Vec<&str>), fault: Fault) -> bool {
        let (operator, key, values) = condition;
        let found = match *key {
            "aws:SourceIp" => self.address,
            "aws:UserAgent" => self.agent,
            "s3:ExistingObjectTag/t" => {
                let reads = self.action == "GetObject" || fault == Fault::TagsDecideOverWriting;
                self.tag.filter(|_| reads)
            }
            "s3:RequestObjectTag/t" => self.given,
            _ => None,
        };
        let (operator, if_exists) = match operator.strip_suffix("IfExists") {
            Some(operator) => (operator, true),
            None => (*operator, false),
        };
        let is_in = |network: &str, address: &str| match network {
            "10.0.0.0/8" => address.starts_with("10."),
            one => one == address,
        };
        let any = |test: &dyn Fn(&str, &str) -> bool| {
            found.is_some_and(|found| values.iter().any(|value| test(value, found)))
        };
        let absent = found.is_none();
        match operator {
            "Null" => values.contains(&if absent { "true" } else { "false" }),
            _ if absent && if_exists => true,
            "StringEquals" => any(&|value, found| value == found),
            "StringNotEquals" if absent => fault != Fault::NotEqualsNeedsValue,
            "StringNotEquals" => !any(&|value, found| value == found),
            "StringLike" => any(&|value, found| like(value.as_bytes(), found.as_bytes())),
            "StringNotLike" => !any(&|value, found| like(value.as_bytes(), found.as_bytes())),
            "IpAddress" => any(&is_in),
            "NotIpAddress" => !any(&is_in),
            other => panic!("{other}"),
        }
    }

    /// How a rule applies: 0 it does not, else as [`Self::named_by`].
    fn applies(&self, rule: &Rule, fault: Fault) -> u8 {
        let names: Vec<u8> = rule.principals.iter().map(|word| self.named_by(word)).collect();
        let naming = match (rule.principals.is_empty(), rule.not_principal) {
            (true, _) => 4,
            (_, false) => names.iter().copied().max().unwrap_or(0),
            (_, true) if names.iter().any(|naming| *naming > 1) => 0,
            (_, true) => 2,
        };
        let wanted = format!("s3:{}", self.action);
        let action = rule.actions.iter().any(|it| like(it.as_bytes(), wanted.as_bytes()));
        let arn = format!("arn:aws:s3:::{}", self.path);
        let place = rule.resources.iter().any(|it| like(it.as_bytes(), arn.as_bytes()));
        let applies = action != rule.not_action
            && place != rule.not_resource
            && rule.conditions.iter().all(|condition| self.holds(condition, fault));
        if applies { naming } else { 0 }
    }

    fn denies(&self, policy: &Policy, fault: Fault) -> bool {
        policy.iter().any(|rule| !rule.allow && self.applies(rule, fault) > 0)
    }

    fn allows(&self, policy: &Policy, fault: Fault) -> u8 {
        let allowing = policy.iter().filter(|rule| rule.allow);
        allowing.map(|rule| self.applies(rule, fault)).max().unwrap_or(0)
    }

    pub fn allowed(&self, fault: Fault) -> bool {
        let session = self.session.clone().unwrap_or_default();
        let known = matches!(self.kind, "user" | "session");
        let mut all: Vec<&Policy> = self.resource.iter().collect();
        if known {
            all.extend(self.identity.iter().chain(&self.boundary).chain(&session));
        }
        let denied = all.iter().any(|policy| self.denies(policy, fault));
        if denied && fault != Fault::AllowBeatsDeny {
            return false;
        }
        let owner = match fault {
            Fault::ForgetsObjectOwner => self.owner,
            _ => self.object_owner.unwrap_or(self.owner),
        };
        let own = self.kind != "anonymous" && self.account == owner;
        let others = self.object_owner.is_some() && fault != Fault::PolicyGivesWhatIsOthers;
        let grant = match &self.resource {
            Some(_) if others => 0,
            Some(_) if self.restricted && !own => 0,
            Some(policy) => self.allows(policy, fault),
            None => 0,
        };
        let identity = match self.kind {
            "anonymous" => return grant > 0 || self.acl,
            "root" => true,
            _ => self.identity.iter().any(|policy| self.allows(policy, fault) > 0),
        };
        let boundary = self.boundary.as_ref().is_none_or(|it| self.allows(it, fault) > 0);
        let sessions = session.iter().any(|policy| self.allows(policy, fault) > 0);
        let sessions = self.session.is_none() || sessions;
        let limits = !known
            || (boundary || fault == Fault::ForgetsBoundary)
                && (sessions || fault == Fault::ForgetsSession);
        if own {
            return grant == 4 || limits && (identity || grant > 1);
        }
        let granted = grant > 0 || self.acl;
        match fault {
            Fault::CrossAccountNeedsOneSide => (granted || identity) && limits,
            _ => granted && identity && limits,
        }
    }
}
