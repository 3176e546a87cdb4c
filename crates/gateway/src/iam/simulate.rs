//! The policy simulator, on the wire of IAM.

use model::policy::Action;
use service::entities::Simulation;

use super::Call;
use crate::{admin::explain, wire::Result, xml::Writer};

impl Call<'_> {
    pub(super) async fn simulate(&self, xml: &mut Writer) -> Result<()> {
        let form = self.form;
        form.required("ActionNames.member.1")?;
        let simulation = Simulation {
            actions: form.members("ActionNames", ""),
            resources: form.members("ResourceArns", ""),
            policies: form.members("PolicyInputList", ""),
            boundaries: form.members("PermissionsBoundaryPolicyInputList", ""),
            resource_policy: form.owned("ResourcePolicy"),
            context: self.context(),
        };
        let answers = match self.action {
            Action::SimulateCustomPolicy => {
                form.required("PolicyInputList.member.1")?;
                self.service.simulate_custom(self.caller, &simulation)?
            }
            _ => {
                let arn = form.required("PolicySourceArn")?;
                self.service.simulate_principal(self.caller, arn, &simulation).await?
            }
        };
        let names = answers.into_iter().zip(0..).map(|(it, place)| (it, format!("{place}")));
        let page = self.paged(names.collect(), |(_, place)| place)?;
        page.write(xml, "EvaluationResults", |xml, (answer, _)| {
            xml.text("EvalActionName", answer.action);
            xml.text("EvalResourceName", answer.resource);
            xml.text("EvalDecision", answer.decision.map_or("implicitDeny", explain::word));
            xml.open("MatchedStatements");
            for matched in answer.matched {
                xml.open("member").text("SourcePolicyId", matched.policy);
                xml.text("SourcePolicyType", matched.kind).close();
            }
            xml.close().open("MissingContextValues");
            answer.missing.iter().for_each(|key| {
                xml.text("member", key);
            });
            xml.close();
            if let Some(allows) = answer.boundary {
                xml.open("PermissionsBoundaryDecisionDetail");
                xml.flag("AllowedByPermissionsBoundary", allows).close();
            }
        });
        Ok(())
    }

    /// What the request that is thought of says.
    fn context(&self) -> Vec<(String, Vec<String>)> {
        let names = self.form.members("ContextEntries", "ContextKeyName");
        let values = |place: usize| {
            let list = format!("ContextEntries.member.{place}.ContextKeyValues");
            self.form.members(&list, "")
        };
        names.into_iter().zip(1..).map(|(name, place)| (name, values(place))).collect()
    }
}
