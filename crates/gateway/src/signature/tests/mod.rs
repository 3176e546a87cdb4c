//! What every scheme must do, by known answers, by changes, and by what it must refuse.

mod known_answers;
mod mutations;
mod refusals;

use chrono::{DateTime, Utc};

use super::testing::{ALL, NOW, PLACEHOLDER, SECRET, Sample};
use super::{Refusal, Scheme, claim};
use crate::encoding::encode;
