//! Why a request was turned away at the door.

use model::Condition;

/// A refusal that no operation has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub condition: Condition,
    /// One sentence for the client.
    pub detail: String,
    /// Further elements of the error document, such as `StringToSign`, in order.
    pub fields: Vec<(&'static str, String)>,
}

impl Refusal {
    pub fn new(condition: Condition, detail: impl Into<String>) -> Self {
        Self { condition, detail: detail.into(), fields: Vec::new() }
    }

    /// Adds an element to the error document.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// `InvalidArgument` about the header or parameter `name`.
    pub(crate) fn argument(detail: impl Into<String>, name: &str, value: &str) -> Self {
        let refusal = Self::new(Condition::InvalidArgument, detail);
        refusal.with("ArgumentName", name).with("ArgumentValue", value)
    }
}
